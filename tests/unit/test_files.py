"""Files are written whole or not at all."""

import json
from pathlib import Path

import pytest
from deepscaler import files, records
from deepscaler.errors import JobError, UserError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    files.write_text(target, "old")

    def write_half() -> None:
        with files.writing(target) as aside:
            aside.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("old")
    said = r"could not write: No space left on device \[.*scores\.json\]\. Hint: make room and run it again"
    with pytest.raises(JobError, match=said), files.writing(tmp_path / "scores.json"):
        Path("/dev/full").write_text("x")
    assert (tmp_path / "scores.json").read_text() == "old"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "checkpoint"
    for name in ("first", "second"):
        with files.writing(target) as aside:
            aside.mkdir()
            (aside / name).touch()
    assert [path.name for path in target.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [target]


def test_the_digest_ignores_the_order_of_keys_and_nothing_else() -> None:
    assert files.digest_of({"a": 1, "b": [1, 2]}) == files.digest_of({"b": [1, 2], "a": 1})
    assert files.digest_of({"a": [1, 2]}) != files.digest_of({"a": [2, 1]})


def test_jsonl_keeps_every_character(tmp_path: Path) -> None:
    rows = [{"text": "√2 \\boxed{½}\n\u2028"}, {"text": ""}]
    files.write_jsonl(tmp_path / "rows.jsonl", rows)
    assert list(files.read_jsonl(tmp_path / "rows.jsonl")) == rows
    assert len((tmp_path / "rows.jsonl").read_bytes().splitlines()) == 2
    assert json.loads((tmp_path / "rows.jsonl").read_bytes().splitlines()[0]) == rows[0]


def test_a_table_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "problems.parquet"
    records.write(path, [], records.PROBLEM)
    assert records.read(path, records.PROBLEM).num_rows == 0
    with pytest.raises(UserError, match="columns differ"):
        records.read(path, records.GRADE)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="not a whole Parquet file"):
        records.read(path, records.PROBLEM)
    with pytest.raises(UserError, match="no such file"):
        records.read(tmp_path / "absent.parquet", records.PROBLEM)


def test_a_place_where_nothing_can_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"can't be written: Not a directory|can't be written: File exists"):
        files.write_text(tmp_path / "file" / "below.txt", "x")
    with pytest.raises(UserError, match="can't be written: No such file or directory"):
        files.write_text("/proc/nowhere/x", "")


def test_a_folder_is_no_json_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a regular file"):
        files.read_json(tmp_path)
