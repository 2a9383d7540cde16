"""The kept run of mini held against itself by the real engine: `make resample`, and forgeries that only it can find."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from deepscaler import records
from deepscaler.errors import JobError
from deepscaler.evaluation.sample import identity
from deepscaler.files import sha256
from deepscaler.reporting.archive.judgement import Depth
from deepscaler.reporting.archive.reverify import reverify

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))

from kept_archive import describe_anew, edit_json, edit_rows, kept, make_anew

__all__ = ["kept"]

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

EDITED, EXCHANGED = "8k-1", "deepscaler-24k"
"""A system with an answer of the forger's own, and one with other weights."""
LAST = "work/mini/checkpoints/24k-1"


def held(archive: Path, depth: Depth, *systems: str) -> None:
    reverify(archive=archive, depth=depth, systems=list(systems), run=None, threads=2, largest_gb=1)


def test_the_samples_of_the_kept_run_are_drawn_again(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held(kept, "sample")
    said = capsys.readouterr().out
    assert said.count("Sampled again: ") == 5
    assert "Verified: 32 files were made again" in said


@pytest.fixture
def forged(kept: Path) -> Path:
    """Forgeries that agree with themselves: grading them again gives their grades, scores, tables, claims."""

    def edit(rows: list[dict[str, object]]) -> None:
        next(row for row in rows if row["finish_reason"] == "stop")["response"] = "</think> \\boxed{123456}"

    edit_rows(kept, f"work/mini/samples/{EDITED}/curve-1of1.parquet", records.COMPLETION, edit)
    shutil.copyfile(kept / "work/mini/checkpoints/16k-1/model.safetensors", kept / LAST / "model.safetensors")
    digest = sha256(kept / LAST / "model.safetensors")
    edit_json(kept, f"{LAST}/checkpoint.json", "files", "model.safetensors", value=digest)
    say_so(kept, f"work/mini/samples/{EXCHANGED}/table-1of1.parquet")
    make_anew(kept)
    return kept


def say_so(folder: Path, name: str) -> None:
    """Name the weights that are there now as those that the samples came from."""
    rows = records.read(folder / name, records.COMPLETION).to_pylist()
    about = records.metadata(folder / name) | {"model": json.dumps(identity(folder / LAST / "checkpoint.json"))}
    records.write(folder / name, rows, records.COMPLETION, about)
    describe_anew(folder)


def test_what_only_sampling_again_can_find(forged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held(forged, "grade")
    capsys.readouterr()
    with pytest.raises(JobError, match=r"first: work/mini/samples/8k-1/curve-1of1.parquet, mini-\S+ sample \d+, "):
        held(forged, "sample", EDITED, EXCHANGED)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("DIFFERS")]
    (edited,) = [line for line in lines if f"samples/{EDITED}/" in line]
    assert "response: '</think> \\\\boxed{123456}', made again " in edited
    exchanged = [line for line in lines if f"samples/{EXCHANGED}/" in line]
    assert len(exchanged) > 5, "other weights give other answers to most questions"
    assert any(line.endswith(" more") for line in exchanged)
