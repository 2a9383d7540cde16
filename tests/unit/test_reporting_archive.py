"""What an archive holds and leaves out, and when other bytes are no difference."""

import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from deepscaler import records
from deepscaler.errors import JobError, UserError
from deepscaler.files import sha256
from deepscaler.reporting.archive import judgement, manifest
from deepscaler.reporting.archive.archive import archive
from deepscaler.reporting.archive.licences import LARGE, notes, why_left_out
from deepscaler.reporting.archive.opening import altered, open_archive
from deepscaler.reporting.archive.reverify import reverify
from kept_archive import describe_anew, edit_json, edit_rows, kept
from synthetic_run import keep

__all__ = ["kept"]

SAMPLES = "work/mini/samples/deepscaler-24k/table-1of1.parquet"


def left_out(scale: str, name: str, size: int = 1, *, weights: bool = False) -> str | None:
    return why_left_out(scale, name, size, weights=weights)


def test_the_miniature_is_passed_on_whole() -> None:
    for name in (
        "work/mini/models/mini-base/model.safetensors",
        "work/mini/checkpoints/24k-1/model.safetensors",
        "work/mini/prompts/8k-1.jsonl",
        "work/mini/data/train/train.parquet",
        "work/mini/benchmarks/mini-aime-2024.parquet",
        "work/mini/samples/mini-base/table-1of1.parquet",
        "work/mini/grades/mini-base/table.parquet",
        "contamination.csv",
        "scores/mini-base-table.json",
        "figures/figure-1.png",
    ):
        assert left_out("mini", name) is None, name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("work/paper/benchmarks/aime-2024.parquet", "problems that may not be passed on: aime-2024"),
        ("work/paper/prompts/8k-1.jsonl", r"problems that may not be passed on: aime, amc, still"),
        ("work/paper/data/train/train.parquet", "problems that may not be passed on"),
        ("contamination.csv", "problems that may not be passed on: .*aime.*aime-2024"),
        ("work/paper/models/deepscaler-1.5b-preview/model.safetensors", "published: agentica-org/DeepScaleR.* e3f5"),
        ("work/paper/models/deepscaler-1.5b-preview/tokenizer.json", "published: "),
        ("report.html", "made of the results"),
    ],
)
def test_what_others_own_is_named_by_its_digest(name: str, reason: str) -> None:
    found = left_out("paper", name)
    assert found is not None
    assert re.search(reason, found), found


@pytest.mark.parametrize(
    "name",
    [
        "work/paper/benchmarks/math-500.parquet",
        "work/paper/models/deepscaler-1.5b-preview/model.json",
        "work/paper/checkpoints/8k-1/checkpoint.json",
        "work/paper/checkpoints/8k-1/tokenizer.json",
        "work/paper/samples/still-1.5b/table-1of8.parquet",
    ],
)
def test_what_may_be_passed_on_is(name: str) -> None:
    assert left_out("paper", name) is None


def test_large_weights_are_there_when_they_are_asked_for() -> None:
    name = "work/paper/checkpoints/8k-1/model.safetensors"
    assert "--weights" in (left_out("paper", name, LARGE) or "")
    assert left_out("paper", name, LARGE, weights=True) is None
    assert left_out("paper", name, LARGE - 1) is None


def test_everything_that_was_used_has_a_licence_note() -> None:
    found = notes("paper")
    assert found["problems of aime-2024"].startswith("MIT (the collection); problems © MAA; redistribution: unclear")
    assert found["weights of deepseek-r1-distill-qwen-1.5b"].startswith("MIT; redistribution: yes")
    assert "Hendrycks" in found["problems of math"]


def test_the_same_run_gives_the_same_archive(run: Path, tmp_path: Path) -> None:
    where = {"scale": "mini", "results": run / "results/mini", "work": run / "work/mini"}
    for name in ("one.tar.gz", "two.tar.gz", "folder", "plain.tar"):
        archive(**where, output=tmp_path / name)  # type: ignore[arg-type]
    assert sha256(tmp_path / "one.tar.gz") == sha256(tmp_path / "two.tar.gz")
    with tarfile.open(tmp_path / "plain.tar") as tar:
        assert tar.getnames()[0] == manifest.NAME
        assert {member.mtime for member in tar.getmembers()} == {0}
    for name in ("one.tar.gz", "plain.tar", "folder"):
        with open_archive(tmp_path / name) as found:
            assert list(altered(found)) == []
            assert found.manifest == manifest.read(tmp_path / "folder" / manifest.NAME)


def test_a_folder_of_something_else_is_not_replaced(run: Path) -> None:
    """`--to results/mini` would remove the results."""
    where = {"scale": "mini", "results": run / "results/mini", "work": run / "work/mini"}
    with pytest.raises(UserError, match="something else than an archive"):
        archive(**where, output=run / "results/mini")  # type: ignore[arg-type]
    assert (run / "results/mini/table.csv").is_file()


def test_what_speaks_of_times_is_kept_and_not_the_rest(run: Path) -> None:
    rollouts = run / "work/mini/checkpoints/8k-1/rollouts/step-00001.parquet"
    rollouts.parent.mkdir()
    rollouts.write_bytes(b"")
    files = manifest.read(keep(run) / manifest.NAME).files
    assert {"compute.csv", "claims.csv", "kept.yaml", "training.csv"} <= files.keys()
    assert not {"ro-crate-metadata.json", "report.html"} & files.keys()
    assert not any(name.startswith("work/mini/runs/") or "rollouts" in name for name in files)


# --- other machines -----------------------------------------------------------------------------------------------


@pytest.fixture
def made(kept: Path, tmp_path: Path) -> Path:
    """All files of the archive, as if they had been made again, and equal."""
    return shutil.copytree(kept, tmp_path / "made")


def judged(kept: Path, made: Path, depth: judgement.Depth) -> list[str]:
    with open_archive(kept) as archive:
        names = [
            name
            for name in archive.manifest.stored
            if name.startswith(("work/mini/samples", "table.csv", "training.csv"))
        ]
        return judgement.judged(archive, {name: made / name for name in names}, depth)


def on(monkeypatch: pytest.MonkeyPatch, kept: Path, **change: Any) -> None:
    """Be the machine that made the archive, but for some changes."""
    with open_archive(kept) as archive:
        record = judgement.soundness.record(archive)
    monkeypatch.setattr(judgement, "processor", lambda: change.get("processor", record["processor"]))
    monkeypatch.setattr(judgement, "versions", lambda: change.get("versions", record["versions"]))


def other_answer(folder: Path) -> None:
    edit_rows(folder, SAMPLES, records.COMPLETION, lambda rows: rows[7].update(response="\\boxed{1}", tokens=9))


def lower(folder: Path, points: float) -> None:
    """The average of the last stage, in its scores and in the table."""
    header, *rows = (folder / "table.csv").read_text(encoding="utf-8").splitlines()
    cells = rows[-1].split(",")
    at = header.split(",").index("average")
    value = float(cells[at]) - points
    cells[at] = str(value)
    (folder / "table.csv").write_text("\n".join([header, *rows[:-1], ",".join(cells)]) + "\n", encoding="utf-8")
    edit_json(folder, "scores/deepscaler-24k-table.json", "average", "pass_at_1", value=value)


def test_equal_bytes_are_no_difference(kept: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, kept)
    assert judged(kept, made, "sample") == []


def test_on_the_same_class_of_processor_a_sample_is_a_difference(
    kept: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, kept)
    other_answer(made)
    (line,) = judged(kept, made, "sample")
    assert "table-1of1.parquet, mini-aime-2024/0000 sample 7, response: " in line
    assert "made again" in line


@pytest.mark.parametrize("change", [{"processor": "Intel x86-64-v3"}, {"versions": {"torch": "9"}}])
def test_on_another_class_numbers_are_compared(
    kept: Path,
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
) -> None:
    """Another processor, or other packages, draw other samples: said as `make check` does, and no difference."""
    on(monkeypatch, kept, **change)
    other_answer(made)
    lower(made, 0.5)
    assert judged(kept, made, "sample") == []
    said = capsys.readouterr().out
    assert "They may differ: " in said
    assert "DIFFERS" not in said
    lower(made, 5)
    (line,) = judged(kept, made, "sample")
    assert line.startswith("scores/deepscaler-24k-table.json: average: 79.5, sampled again 74.0 ± ")


def test_another_python_draws_no_other_samples(kept: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of packages those of the engines alone explain another answer; else any update would hide a forgery."""
    with open_archive(kept) as archive:
        others = judgement.soundness.record(archive)["versions"] | {
            "python": "3.99",
            "pyarrow": "99",
            "deepscaler": "9",
        }
    on(monkeypatch, kept, versions=others)
    other_answer(made)
    (line,) = judged(kept, made, "sample")
    assert "sample 7, response: " in line


def test_a_notebook_names_the_python_that_executed_it(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive has its digest alone, so that nobody can see what is other in it."""
    (tmp_path / "figure-1.ipynb").write_text("{}", encoding="utf-8")
    with open_archive(kept) as archive:
        made = {"notebooks/figure-1.ipynb": tmp_path / "figure-1.ipynb"}
        record = judgement.soundness.record(archive)["versions"]
        monkeypatch.setattr(judgement, "named_otherwise", lambda *_: [])
        monkeypatch.setattr(judgement, "averages_differ", lambda *_: [])
        on(monkeypatch, kept, versions=record | {"python": "3.99"})
        assert judgement.judged(archive, made, "train") == []
        on(monkeypatch, kept)
        assert len(judgement.judged(archive, made, "train")) == 1


def test_another_class_excuses_no_grade(
    kept: Path, made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Grading does not depend on the processor's class: what it gives must be the archive's, wherever it is done."""
    on(monkeypatch, kept, processor="Intel x86-64-v3")
    lower(made, 0.5)
    (line,) = judged(kept, made, "grade")
    assert line.startswith("table.csv, deepscaler-24k, average: ")


def test_values_that_are_the_same_in_other_bytes(kept: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables name the packages that made them; where these are others, no value needs to be."""
    edit_rows(made, SAMPLES, records.COMPLETION, lambda rows: None)
    rows = records.read(made / SAMPLES, records.COMPLETION).to_pylist()
    about = records.metadata(made / SAMPLES) | {"versions": json.dumps({"vllm": "9"})}
    records.write(made / SAMPLES, rows, records.COMPLETION, about)
    on(monkeypatch, kept)
    (line,) = judged(kept, made, "grade")
    assert "the same values in other bytes" in line
    on(monkeypatch, kept, versions={"vllm": "9"})
    assert judged(kept, made, "grade") == []


# --- a run that was made again ------------------------------------------------------------------------------------


def again(archive: Path, run: Path) -> None:
    where = (run / "results/mini", run / "work/mini")
    reverify(archive=archive, depth="train", systems=[], run=where, threads=1, largest_gb=1)


def test_a_run_is_held_against_its_archive(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--depth train` of a made-up run, which is not trained for it: what is equal and what is not."""
    archive = keep(run)
    with pytest.raises(JobError):
        again(archive, run)  # made up: its problems are not those of the settings
    said = capsys.readouterr().out
    equal, of = (int(word) for word in said.split("Equal to the byte: ")[1].split()[:3:2])
    assert equal == of > 40
    (run / "work/mini/checkpoints/8k-2/model.safetensors").write_bytes(b"trained otherwise")
    (run / "work/mini/grades/8k-1/curve.parquet").unlink()
    (run / "results/mini/new.csv").write_text("1\n", encoding="utf-8")
    with pytest.raises(JobError):
        again(archive, run)
    said = capsys.readouterr().out
    assert "DIFFERS  work/mini/checkpoints/8k-2/model.safetensors: sha256" in said
    assert "DIFFERS  work/mini/grades/8k-1/curve.parquet: the run did not make it" in said
    assert "DIFFERS  new.csv: archive.json does not name it" in said


def test_a_scale_on_gpus_is_not_trained_in_passing(kept: Path) -> None:
    content = json.loads((kept / manifest.NAME).read_text(encoding="utf-8")) | {"scale": "paper"}
    (kept / manifest.NAME).write_text(json.dumps(content), encoding="utf-8")
    describe_anew(kept)
    with pytest.raises(UserError, match=r"not trained in passing.*--results and --work"):
        reverify(archive=kept, depth="train", systems=[], run=None, threads=1, largest_gb=1)


def test_a_system_that_is_not_sampled_is_refused(kept: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'mini-base'"):
        reverify(archive=kept, depth="sample", systems=["mini-bas"], run=None, threads=1, largest_gb=1)
