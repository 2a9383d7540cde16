"""The archive of mini that is committed, as a copy that a test may change, and a hand that forges it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from deepscaler import records
from deepscaler.files import sha256
from deepscaler.reporting.archive import manifest
from deepscaler.reporting.archive.again import Again
from deepscaler.reporting.archive.opening import open_archive
from deepscaler.reporting.archive.reverify import remake
from made_run import look_at


@pytest.fixture
def kept(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    look_at(root, monkeypatch)
    return shutil.copytree(root / "results" / "reference" / "mini", tmp_path / "handed")


def describe_anew(folder: Path) -> None:
    """Put the digests of the files as they are now into archive.json, as whoever forges would."""
    path = folder / manifest.NAME
    content = json.loads(path.read_text(encoding="utf-8"))
    for name, entry in content["files"].items():
        if "left_out" not in entry:
            entry |= {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size}
    path.write_text(json.dumps(content), encoding="utf-8")


def make_anew(folder: Path) -> None:
    """Make grades, scores, tables and claims follow from the samples as they are now, and archive.json from all."""
    with open_archive(folder) as archive, TemporaryDirectory() as made:
        for name, path in remake(Again(archive, Path(made), threads=2), "grade", []).items():
            shutil.copyfile(path, folder / name)
    describe_anew(folder)


def edit_rows(folder: Path, name: str, schema: Any, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the rows of a Parquet file, which keeps what it says of itself."""
    rows, metadata = records.read(folder / name, schema).to_pylist(), records.metadata(folder / name)
    change(rows)
    records.write(folder / name, rows, schema, metadata)


def edit_text(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def edit_json(folder: Path, name: str, *keys: str, value: object) -> None:
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    inside = content
    for key in keys[:-1]:
        inside = inside[key]
    inside[keys[-1]] = value
    (folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8")
