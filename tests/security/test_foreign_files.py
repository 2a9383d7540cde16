"""Files that others wrote: small ones that grow, deep ones, ones that are none, and mirrors with links."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deepscaler import foreign, hub, records, settings
from deepscaler.controller import stale_locks
from deepscaler.curation.fetch_source import within
from deepscaler.curation.rows import read_rows
from deepscaler.errors import UserError
from deepscaler.evaluation.fetch_benchmark import problems
from deepscaler.evaluation.requests import check_context
from deepscaler.files import read_json, read_jsonl, sha256
from deepscaler.folders import listed
from deepscaler.models.templates import load_tokenizer
from deepscaler.settings.yaml_files import read_yaml
from deepscaler.training.launch import reaper

DEEP = "[" * 200_000
"""Python's parser of JSON gives up at such a depth, and YAML's in C crashes."""


def read_curation(path: Path) -> list[Any]:
    return list(read_rows([path]))


def read_benchmark(path: Path) -> list[Any]:
    return list(hub.read_rows(path))


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred kilobytes that decode to gigabytes: one value of a megabyte, referred to 3,000 times."""
    path = tmp_path_factory.mktemp("bomb") / "bomb.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), pa.array(["x" * (1 << 20)]))
    pq.write_table(pa.table({"problem": texts}), path, compression="zstd")
    return path


@pytest.fixture(scope="module")
def nested_bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in one cell: a list of references."""
    path = tmp_path_factory.mktemp("bomb") / "nested.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), pa.array(["x" * (1 << 20)]))
    column = pa.ListArray.from_arrays(pa.array([0, 3000], pa.int32()), texts)
    pq.write_table(pa.table({"answers": column}), path, compression="zstd")
    return path


@pytest.mark.parametrize("read", [read_curation, read_benchmark, lambda path: records.read(path, records.PROBLEM)])
@pytest.mark.parametrize("kind", ["bomb", "nested_bomb"])
def test_a_small_parquet_file_that_decodes_to_gigabytes(request: pytest.FixtureRequest, read: Any, kind: str) -> None:
    path = request.getfixturevalue(kind)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UserError, match="decodes to more than 2 GB"):
        read(path)


def test_it_is_refused_in_little_memory(bomb: Path) -> None:
    code = (
        "import resource, sys\nfrom deepscaler import foreign\nfrom deepscaler.errors import UserError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: foreign.parquet(sys.argv[1])\nexcept UserError: pass\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)"
    )
    said = subprocess.run([sys.executable, "-c", code, str(bomb)], capture_output=True, text=True, check=True)
    assert int(said.stdout) < 300, f"{said.stdout} MB"


def test_honest_tables_pass(tmp_path: Path) -> None:
    path = tmp_path / "honest.parquet"
    columns: dict[str, Any] = {"text": ["a", None, "é"], "list": [["a", "b"], [], None], "number": [1, 2, 3]}
    columns["inside"] = [{"a": "x", "b": [1.5]}, None, {"a": None, "b": []}]
    pq.write_table(pa.table(columns), path)
    assert foreign.parquet(path).read().to_pydict() == columns


@pytest.mark.parametrize("feature", ["Image", "Audio", "Video", "Pdf", "Nifti"])
def test_a_column_that_calls_itself_a_picture_is_not_opened(tmp_path: Path, feature: str) -> None:
    """Readers of such a column fetch the address in it, and open the file that it names."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cell = {"bytes": None, "path": "http://127.0.0.1:9/latest/meta-data"}
    table = pa.table({"problem": ["q"], "solution": pa.array([cell], kind)})
    features = {"problem": {"dtype": "string", "_type": "Value"}, "solution": {"_type": feature}}
    said = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(said), tmp_path / "data.parquet")
    [row] = read_rows([tmp_path / "data.parquet"])
    assert row.values == {"problem": "q", "solution": cell}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize("depth", [100, 900])
def test_a_row_that_is_too_deep_to_be_written_again_leaves_alone(name: str, depth: int, tmp_path: Path) -> None:
    rows = ['{"problem": ' + "[" * depth + "]" * depth + "}", '{"problem": "What?"}']
    (tmp_path / name).write_text("\n".join(rows) if name == "a.jsonl" else f"[{', '.join(rows)}]")
    deep, other = read_rows([tmp_path / name])
    assert deep.defect
    assert deep.defect.endswith("nested too deep")
    assert not deep.values
    assert not other.defect


@pytest.mark.parametrize("year", [float("inf"), float("nan"), "9" * 5000, [], None])
def test_a_value_that_is_no_number_is_of_no_source(year: object) -> None:
    assert not within(year, (1983, 2023))


@pytest.mark.parametrize(
    "row", [{"q": "half \ud83d", "a": "1"}, {"q": "x", "a": "\ud83d"}, {"q": "x", "a": "1", "\ud83d": 1}]
)
def test_a_test_set_with_halves_of_characters_is_one_line(row: dict[str, str]) -> None:
    entry = settings.benchmarks()["math-500"]
    fields = entry.fields.model_copy(update={"problem": "q", "answers": "a"})
    with pytest.raises(UserError, match="no Unicode text"):
        list(problems("math-500", entry.model_copy(update={"size": 1, "fields": fields}), [row]))


def test_types_that_are_no_plain_data_are_refused(tmp_path: Path) -> None:
    storage = pa.array([b"0123456789abcdef"], pa.binary(16))
    table = pa.table({"id": pa.ExtensionArray.from_storage(pa.uuid(), storage)})
    pq.write_table(table, tmp_path / "data.parquet")
    with pytest.raises(UserError, match="not plain data"):
        foreign.parquet(tmp_path / "data.parquet")


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("a.json", DEEP, read_json),
        ("a.json", DEEP, read_curation),
        ("a.json", DEEP, read_benchmark),
        ("a.json", "[1, 2]", read_benchmark),
        ("a.json", "9" * 10_000, read_json),
        ("a.jsonl", DEEP, lambda path: list(read_jsonl(path))),
        ("a.jsonl", "3", lambda path: list(read_jsonl(path))),
        ("a.yaml", DEEP, read_yaml),
        ("a.yaml", "{a: " * 100, read_yaml),
        ("a.yaml", "a: " + "9" * 10_000, read_yaml),
        ("a.yaml", "a: 2020-13-45", read_yaml),
        ("a.yaml", "a: &a [*a]", read_yaml),
        ("a.yaml", "a: !!bool x", read_yaml),
        ("a.yaml", "a: !!int ''", read_yaml),
        ("a.yaml", "a: !!timestamp x", read_yaml),
        ("a.yaml", "a: {[b]: c}", read_yaml),
        ("a.yaml", 'title: "\\e]0;owned\\a"', read_yaml),
        ("a.yaml", 'title: "\\u202egnol"', read_yaml),
        ("a.yaml", "a: !!python/object/apply:os.system [id]", read_yaml),
        ("a.csv", 'a,b\n"' + "x" * 200_000, lambda path: list(foreign.csv_rows(path))),
        ("a.csv", b"a,b\n\xff", lambda path: list(foreign.csv_rows(path))),
        ("a.parquet", "PAR1" + "\0" * 40 + "PAR1", read_curation),
        ("config.json", DEEP, lambda path: check_context(path.parent, 1)),
        ("tokenizer.json", DEEP, lambda path: load_tokenizer(path.parent)),
    ],
)
def test_what_is_no_such_file_is_one_line(tmp_path: Path, name: str, content: str | bytes, read: Any) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as refused:
        read(path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_a_deep_row_is_a_row_with_a_defect(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"problem": "q"}}\n{DEEP}\n', encoding="utf-8")
    first, second = read_rows([tmp_path / "a.jsonl"])
    assert (first.defect, second.defect) == (None, "line 2 is not JSON")


def test_a_few_lines_of_yaml_that_stand_for_billions(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match="too many values"):
        read_yaml(tmp_path / "bomb.yaml")


@pytest.mark.parametrize("read", [read_json, sha256, lambda path: list(read_jsonl(path)), foreign.parquet, read_yaml])
def test_large_files_pipes_and_devices_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(UserError, match=r"not a regular file|cannot be read"):
            read(path)


def test_a_file_larger_than_memory_should_hold_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as handle:
        handle.truncate(1 << 33)  # takes no room on the disk
    with pytest.raises(UserError, match="larger than 128 MB"):
        read_json(tmp_path / "large.json")
    with pytest.raises(UserError, match="a line longer than 32 MB"):
        list(read_jsonl(tmp_path / "large.json"))


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror" / "evil" / "model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return folder


def test_links_that_lead_in_circles_end(mirror: Path) -> None:
    for name in "abc":
        (mirror / name).symlink_to(".")
    (mirror / "inside").mkdir()
    (mirror / "inside" / "up").symlink_to("..")
    assert listed(mirror) == ["config.json"]


def test_a_private_file_stays_private(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is copied, as from one file system to another."""
    secret = tmp_path / "token.json"
    secret.write_text('{"token": "hf_secret"}', encoding="utf-8")
    secret.chmod(0o600)
    (mirror / "vocab.json").symlink_to(secret)

    def no_link(*_: object) -> None:
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", no_link)
    into = tmp_path / "fetched"
    into.mkdir()
    hub.fetch(hub.Pin("model", "evil/model", None, {}, ("*.json",)), into, str(tmp_path / "mirror"))
    assert (into / "vocab.json").stat().st_mode & 0o777 == 0o600
    assert (into / "config.json").stat().st_mode & 0o044


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to act as another user")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_another_users_link_to_what_is_ours_is_refused(mirror: Path, tmp_path: Path, kind: str) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "token.json").write_text("{}", encoding="utf-8")
    link = mirror / "linked"
    link.symlink_to(ours / "token.json" if kind == "file" else ours)
    assert len(listed(mirror)) == 2, "our own links are followed"
    os.lchown(link, 65534, 65534)
    with pytest.raises(UserError, match="a link that another user has made"):
        listed(mirror)


def test_a_mirror_cannot_have_other_files_read_as_its_commit(mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hf_secret", encoding="utf-8")
    (mirror / ".git").mkdir()
    (mirror / ".git" / "HEAD").write_text("ref: ../../../../secret", encoding="utf-8")
    assert hub.commit_of(mirror) is None
    (mirror / ".git" / "HEAD").write_text("x" * 100, encoding="utf-8")
    assert hub.commit_of(mirror) is None


def test_a_pipe_in_the_temporary_folder_does_not_stop_a_launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "TEMPORARY", tmp_path)
    monkeypatch.setattr(reaper, "NEW_SECONDS", -10)
    for name in ("dsr-pipe", "dsr-link", "dsr-old", "precious"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "dsr-pipe" / reaper.LOCK)
    (tmp_path / "precious" / reaper.LOCK).touch()
    (tmp_path / "dsr-link" / reaper.LOCK).symlink_to(tmp_path / "precious" / reaper.LOCK)
    (tmp_path / "dsr-old" / reaper.LOCK).touch()
    reaper.sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dsr-link", "dsr-pipe", "precious"]


def test_a_note_of_locks_removes_no_other_file(tmp_path: Path) -> None:
    """A note that names a file of ours as the lock of a dead run."""
    notes, locks = tmp_path / "alive", tmp_path / "locks"
    notes.mkdir()
    locks.mkdir()
    victims = [tmp_path / "results.csv", tmp_path / "results.lock", locks / "notes.txt"]
    for path in victims:
        path.write_text("precious", encoding="utf-8")
    lock = locks / "0.input.lock"
    lock.touch()
    named = [stale_locks.fingerprint(path) for path in (*victims, lock)]
    for number, content in enumerate([{"locks": named}, {"locks": 3}, {"locks": [[]]}, [], DEEP]):
        text = content if isinstance(content, str) else json.dumps(content)
        (notes / f"{number}.json").write_text(text, encoding="utf-8")
        os.utime(notes / f"{number}.json", (1, 1))
    os.mkfifo(notes / "pipe.json")
    stale_locks.remove_stale(notes, locks)
    assert [path.exists() for path in (*victims, lock)] == [True, True, True, False]
