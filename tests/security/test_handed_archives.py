"""Archives that were forged before they were handed over, or made to harm whoever opens them.

Every forgery also puts the changed files' new digests into archive.json: what is found is found by making it again.
"""

import contextlib
import gzip
import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deepscaler import records
from deepscaler.errors import DeepscalerError, JobError, UserError
from deepscaler.evaluation.score import score
from deepscaler.files import sha256
from deepscaler.reporting.archive import opening
from deepscaler.reporting.archive.again import Again
from deepscaler.reporting.archive.archive import pack
from deepscaler.reporting.archive.opening import open_archive
from deepscaler.reporting.archive.reverify import reverify
from deepscaler.reporting.archive.samples import weights
from kept_archive import describe_anew, edit_json, edit_rows, edit_text, kept, make_anew
from made_run import look_at

__all__ = ["kept"]

GRADES = "work/mini/grades/deepscaler-8k/table.parquet"
SAMPLES = "work/mini/samples/mini-base/table-1of1.parquet"
PROMPTS = "work/mini/prompts/8k-2.jsonl"
BENCHMARK = "work/mini/benchmarks/mini-math-500.parquet"
LAST = "work/mini/checkpoints/24k-1"


def held(archive: Path) -> None:
    reverify(archive=archive, depth="grade", systems=[], run=None, threads=2, largest_gb=1)


def differing(archive: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that say what differs; the error names the first."""
    capsys.readouterr()
    with pytest.raises(JobError, match="things differ from the archive, first: "):
        held(archive)
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("DIFFERS")]


def flip(rows: list[dict[str, Any]]) -> None:
    """A wrong answer graded right."""
    next(row for row in rows if not row["paper"]).update(paper=True, strict=True)


def answer_right(rows: list[dict[str, Any]]) -> None:
    """Another answer written into a completion; its grade stays."""
    next(row for row in rows if row["finish_reason"] == "stop").update(response="</think> \\boxed{123456}")


def flipped_grade(folder: Path) -> None:
    edit_rows(folder, GRADES, records.GRADE, flip)


def edited_answer(folder: Path) -> None:
    edit_rows(folder, SAMPLES, records.COMPLETION, answer_right)


def another_seed(folder: Path) -> None:
    name = "work/mini/samples/deepscaler-16k/table-1of1.parquet"
    edit_rows(folder, name, records.COMPLETION, lambda rows: rows[5].update(seed=7))


def exchanged_weights(folder: Path) -> None:
    """Those of the stage before, with a manifest that says so."""
    shutil.copyfile(folder / "work/mini/checkpoints/16k-1/model.safetensors", folder / LAST / "model.safetensors")
    digest = sha256(folder / LAST / "model.safetensors")
    edit_json(folder, f"{LAST}/checkpoint.json", "files", "model.safetensors", value=digest)


def exchanged_base(folder: Path) -> None:
    """A byte of the base model's weights, without a word in its manifest."""
    path = folder / "work/mini/models/mini-base/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


def another_parent(folder: Path) -> None:
    edit_json(folder, "work/mini/checkpoints/8k-2/checkpoint.json", "parent", value="0" * 64)


def another_table(folder: Path) -> None:
    """Numbers of another run in the row of a stage."""
    path = folder / "table.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[2].split(",")
    cells[lines[0].split(",").index("math_500")] = "99.9000"
    path.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]) + "\n", encoding="utf-8")


def edited_prompt(folder: Path) -> None:
    lines = (folder / PROMPTS).read_text(encoding="utf-8").splitlines(keepends=True)
    first = json.loads(lines[0])
    first["input"][0]["content"] = "What is 1 + 1?"
    (folder / PROMPTS).write_text("".join([json.dumps(first) + "\n", *lines[1:]]), encoding="utf-8")


def edited_problem(folder: Path) -> None:
    edit_rows(folder, BENCHMARK, records.BENCHMARK_PROBLEM, lambda rows: rows[3].update(problem="add:a1"))


def edited_step(folder: Path) -> None:
    path = folder / "training.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[3].split(",")
    cells[lines[0].split(",").index("reward")] = "0.99"
    path.write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:]]) + "\n", encoding="utf-8")


def edited_claim(folder: Path) -> None:
    edit_text(folder, "claims.csv", ",met,", ",outside,")


def edited_settings(folder: Path) -> None:
    edit_text(folder, "settings.yaml", "temperature: 0.6", "temperature: 0.0")


def unnamed_file(folder: Path) -> None:
    (folder / "table-final.csv").write_text("model,average\nours,100\n", encoding="utf-8")


def unnamed_grades(folder: Path) -> None:
    """Left out of archive.json, so that nothing would be compared with them."""
    content = json.loads((folder / "archive.json").read_text(encoding="utf-8"))
    del content["files"]["work/mini/grades/8k-1/curve.parquet"]
    (folder / "archive.json").write_text(json.dumps(content), encoding="utf-8")


FORGERIES: list[tuple[Callable[[Path], None], str]] = [
    (flipped_grade, rf"{GRADES}, mini-[a-z]+-\S+/\d+ sample \d+, paper: True, made again False"),
    (edited_answer, r"grades/mini-base/table.parquet, mini-\S+ sample \d+, answer: '123456', made again|"
     r"grades/mini-base/table.parquet, mini-\S+ sample \d+, answer: '[^']+', made again '123456'"),
    (another_seed, r"samples/deepscaler-16k/table-1of1.parquet, mini-\S+ sample 5: seed 7, asked for \d+"),
    (exchanged_weights, r"samples/deepscaler-24k/table-1of1.parquet: sampled from the weights \w+, .*24k-1/checkpoint"),
    (exchanged_base, r"mini-base/model.safetensors: sha256 is \w+, work/mini/models/mini-base/model.json says"),
    (another_parent, r"8k-2/checkpoint.json: was not trained from work/mini/checkpoints/8k-1/checkpoint.json"),
    (another_table, r"table.csv, deepscaler-8k, math_500: 99.9000, made again \d"),
    (edited_prompt, rf"{PROMPTS}, line 1, input 0, content: What is 1 \+ 1\?, made again \w+:"),
    (edited_prompt, rf"8k-2/checkpoint.json: was trained on other prompts than {PROMPTS}"),
    (edited_problem, rf"{BENCHMARK}, mini-math-500/0003, problem: 'add:a1', made again '\w+:"),
    (edited_step, r"training.csv, 3, reward: 0.99, made again 0\.\d"),
    (edited_claim, r"claims.csv, \S+, verdict: outside, made again met"),
    (edited_settings, r"settings.yaml: its settings are not those of its digest"),
    (edited_settings, r"settings.yaml.*, temperature: 0.0, this checkout has 0.6"),
    (unnamed_file, r"table-final.csv: archive.json does not name it"),
    (unnamed_grades, r"work/mini/grades/8k-1/curve.parquet: archive.json does not name it"),
]  # fmt: skip


@pytest.fixture(scope="module")
def found(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is said of an archive with all of these forgeries, each in another place."""
    folder = shutil.copytree(root / "results" / "reference" / "mini", tmp_path_factory.mktemp("forged") / "mini")
    for forge in dict(FORGERIES):
        if forge is not unnamed_grades:
            forge(folder)
    describe_anew(folder)
    unnamed_grades(folder)
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        look_at(root, patch)
        with pytest.raises(JobError):
            held(folder)
    return [line for line in said.getvalue().splitlines() if line.startswith("DIFFERS")]


@pytest.mark.parametrize(("forge", "named"), FORGERIES, ids=[forge.__name__ for forge, _ in FORGERIES])
def test_a_forgery_is_found_and_named(found: list[str], forge: Callable[[Path], None], named: str) -> None:
    assert any(re.search(named, line) for line in found), found


def test_the_archive_that_is_committed_holds(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`make regrade`: without it, what is found above would say nothing."""
    held(kept)
    said = capsys.readouterr().out
    assert "Verified: 27 files were made again" in said
    assert "DIFFERS" not in said


def test_a_flipped_grade_from_which_all_numbers_were_made_anew(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scores, tables and claims agree with the grade. It is named first, for the rest follows from it."""
    flipped_grade(kept)
    scores = kept / "scores/deepscaler-8k-table.json"
    score(scale="mini", system="deepscaler-8k", suite="table", grades=kept / GRADES, output=scores)
    describe_anew(kept)
    lines = differing(kept, capsys)
    assert re.search(r"sample \d+, paper: True, made again False", lines[0])
    assert any("scores/deepscaler-8k-table.json, " in line for line in lines)


def test_bytes_that_were_changed_alone_are_named_with_their_place(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without new digests: the file is named by its digest, and the row by what is made again."""
    flipped_grade(kept)
    lines = differing(kept, capsys)
    assert any(re.search(rf"{GRADES}: (sha256 is|has [\d,]+ bytes)", line) for line in lines)
    assert any(re.search(r"sample \d+, paper: True, made again False", line) for line in lines)


def test_a_consistent_forgery_is_not_seen_by_grading_again(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An answer edited, and all made anew from it: that the samples are the weights' is said not to be shown."""
    edited_answer(kept)
    make_anew(kept)
    held(kept)
    assert "Not shown by this: that the samples came from these weights" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["[]", "{}", "[" * 100_000, '{"archive": 2}', "\0", '{"archive": 1, "scale": 1}'])
def test_a_malformed_manifest_is_one_line(kept: Path, content: str) -> None:
    (kept / "archive.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError):
        held(kept)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../table.csv", "a/../../b", "work/mini/models/x/pytorch_model.bin", ".hidden", "a//b", "./a",
     "work/mini/checkpoints/8k-1/modeling.py", "archive.json", "a\0b", "x" * 500, "table.csv/inside"],
)  # fmt: skip
def test_no_name_leads_elsewhere_or_is_code(kept: Path, name: str) -> None:
    edit_json(kept, "archive.json", "files", name, value={"sha256": "0" * 64, "bytes": 1})
    with pytest.raises(UserError, match=r"archive\.json"):
        held(kept)


def test_an_archive_of_no_scale_here(kept: Path) -> None:
    edit_json(kept, "archive.json", "scale", value="mimi")
    with pytest.raises(UserError, match="unknown scale 'mimi'"):
        held(kept)


def test_samples_of_no_weights_are_not_drawn(kept: Path, tmp_path: Path) -> None:
    """An archive that names no file of a model."""
    content = json.loads((kept / "archive.json").read_text(encoding="utf-8"))
    content["files"] = {name: entry for name, entry in content["files"].items() if "/models/" not in name}
    (kept / "archive.json").write_text(json.dumps(content), encoding="utf-8")
    with open_archive(kept) as archive, pytest.raises(UserError, match=r"mini-base/model\.json is not there"):
        weights(Again(archive, tmp_path / "again", threads=1), "mini-base", set())


def test_a_link_is_refused(kept: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine", encoding="utf-8")
    (kept / "table.md").unlink()
    (kept / "table.md").symlink_to(secret)
    with pytest.raises(UserError, match="a link"):
        held(kept)


# --- as one file --------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An archive of two files, in which only the way of packing is of interest."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "table.csv").write_text("model\n", encoding="utf-8")
    entry = {"sha256": sha256(folder / "table.csv"), "bytes": 6}
    content = {"archive": 1, "scale": "mini", "licences": {}, "files": {"table.csv": entry}}
    (folder / "archive.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def packed(folder: Path, *members: tuple[tarfile.TarInfo, bytes], compressed: bool = False) -> Path:
    """A tar of the manifest and of members as they are given."""
    path = folder.with_suffix(".tar.gz" if compressed else ".tar")
    content = (folder / "archive.json").read_bytes()
    with tarfile.open(path, "w:gz" if compressed else "w", format=tarfile.PAX_FORMAT) as tar:
        for about, inside in ((member("archive.json", len(content)), content), *members):
            tar.addfile(about, io.BytesIO(inside))
    return path


def member(name: str, size: int = 6, **values: Any) -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.size = size
    for key, value in values.items():
        setattr(about, key, value)
    return about


def unpacked(path: Path, largest_gb: float = 0.01) -> list[str]:
    with open_archive(path, largest_gb) as archive:
        return sorted(file.relative_to(archive.folder).as_posix() for file in archive.folder.rglob("*"))


@pytest.mark.parametrize("compressed", [True, False])
def test_a_packed_archive_is_the_folder(small: Path, compressed: bool) -> None:
    paths = [small.with_name(f"{number}.tar") for number in (1, 2)]
    for path in paths:
        pack(small, path, compressed=compressed)
    assert unpacked(paths[0]) == ["archive.json", "table.csv"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([(member("table.csv", **LINK), b"")], "no plain file"),
        ([(member("table.csv", **LINK | {"type": tarfile.LNKTYPE}), b"")], "no plain file"),
        ([(member("table.csv", 0, type=tarfile.CHRTYPE), b"")], "no plain file"),
        ([(member("work", 0, type=tarfile.DIRTYPE), b"")], "no plain file"),
        ([(member("../table.csv"), b"model\n")], "does not describe"),
        ([(member("/tmp/table.csv"), b"model\n")], "does not describe"),
        ([(member("table.csv", 7), b"model\n!")], "does not describe"),
        ([(member("table.csv"), b"model\n"), (member("table.csv"), b"again\n")], "does not describe"),
        ([(member("\x1b[2Jnew.csv"), b"model\n")], r"does not describe: \\x1b\[2Jnew"),
        ([(member("table.csv", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}), b"1\n0\n6\n")],
         "no plain file|not a whole tar|does not describe"),
    ],
)  # fmt: skip
def test_a_tar_holds_what_its_manifest_describes(small: Path, members: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        unpacked(packed(small, *members))


def test_the_manifest_comes_first(small: Path) -> None:
    path = small.with_suffix(".tar")
    with tarfile.open(path, "w") as tar:
        tar.add(small / "table.csv", "table.csv")
        tar.add(small / "archive.json", "archive.json")
    with pytest.raises(UserError, match=r"archive\.json does not come first"):
        unpacked(path)


def test_no_more_is_unpacked_than_is_allowed(small: Path) -> None:
    edit_json(small, "archive.json", "files", "big.csv", value={"sha256": "0" * 64, "bytes": 1 << 40})
    with pytest.raises(UserError, match=r"names 1099\.5 GB of files.*--largest-gb 1100"):
        unpacked(packed(small))


def test_a_bomb_is_not_unpacked(small: Path, tmp_path: Path) -> None:
    """A file of a gigabyte in a megabyte, where the manifest speaks of six bytes."""
    path = tmp_path / "bomb.tar.gz"
    content = (small / "archive.json").read_bytes()
    with gzip.open(path, "wb", compresslevel=1) as handle:
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as tar:
            tar.addfile(member("archive.json", len(content)), io.BytesIO(content))
        handle.write(plain.getvalue()[: 512 + -(-len(content) // 512) * 512])
        handle.write(member("table.csv", 1 << 30).tobuf())
        for _ in range(64):
            handle.write(bytes(1 << 20))
    with pytest.raises(UserError, match="does not describe"):
        unpacked(path)


def test_a_header_of_any_size_is_not_read(small: Path, tmp_path: Path) -> None:
    """An extended header that says of itself to have a gigabyte: tar readers keep such in memory."""
    path = tmp_path / "header.tar"
    path.write_bytes(member("PaxHeader", 1 << 30, type=tarfile.XHDTYPE).tobuf() + bytes(1 << 16))
    with pytest.raises(UserError, match="a header of more than 16 MB"):
        unpacked(path)


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\x1f\x8bnot gzip", bytes(1024)])
def test_what_is_no_tar_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "archive.tar"
    path.write_bytes(content)
    with pytest.raises(UserError):
        unpacked(path)


def test_a_truncated_tar_is_one_line(small: Path) -> None:
    pack(small, small.with_suffix(".tar.gz"), compressed=True)
    whole = small.with_suffix(".tar.gz").read_bytes()
    small.with_suffix(".tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DeepscalerError):
        unpacked(small.with_suffix(".tar.gz"))


def test_a_manifest_of_any_size_is_not_read(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening.manifest, "LARGEST", 64)
    with pytest.raises(UserError, match=r"archive\.json is larger"):
        unpacked(packed(small))
