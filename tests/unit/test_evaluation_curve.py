"""The curve of Pass@1 along training: which checkpoints are scored, and what of it there is in the middle of a run."""

import csv
import os
from pathlib import Path

import pytest
from deepscaler import dag
from deepscaler.evaluation.curve import COLUMNS, CurveScore, measured
from synthetic_run import SCALE, scores_of, work


def curve_of(run: Path) -> list[CurveScore]:
    return measured(SCALE, run / "results" / SCALE, work(run))


def test_a_row_a_checkpoint_in_order_of_steps(run: Path) -> None:
    with (run / "results" / SCALE / "curve.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["total_step"], row["stage"], row["segment"], row["step"]) for row in rows] == [
        ("0", "", "", "0"),
        ("6", "8k", "8k-1", "6"),
        ("12", "8k", "8k-2", "12"),
        ("24", "16k", "16k-1", "12"),
        ("36", "24k", "24k-1", "12"),
    ]
    assert {row["benchmark"] for row in rows} == {"mini-aime-2024"}
    assert {row["samples"] for row in rows} == {str(40 * 16)}
    assert all(float(row["standard_error_within"]) > 0 and float(row["standard_error"]) > 0 for row in rows)


def checkpoint(run: Path, segment: str, scores: Path, later: float) -> None:
    """A checkpoint that was made `later` seconds after its scores."""
    path = work(run) / "checkpoints" / segment / "checkpoint.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    written = scores.stat().st_mtime + later
    os.utime(path, (written, written))


def test_what_there_is_in_the_middle_of_a_run(run: Path) -> None:
    for segment, system, later in (("8k-1", "8k-1", -5), ("8k-2", "deepscaler-8k", -5), ("16k-1", "deepscaler-16k", 5)):
        suite = "curve" if segment == system else "table"
        checkpoint(run, segment, scores_of(run, system, suite), later)
    (work(run) / "checkpoints/24k-1/checkpoint.json").unlink(missing_ok=True)
    found = curve_of(run)
    assert [one.segment for one in found] == ["", "8k-1", "8k-2"], (
        "scores of another try, or of no checkpoint, are none"
    )
    scores_of(run, "8k-1", "curve").unlink()
    assert [one.total_step for one in curve_of(run)] == [0, 12]


@pytest.mark.parametrize(
    ("every", "steps"),
    [
        (1, [0, *range(80, 1041, 80), *range(1120, 1521, 80), 1560, 1600, 1640, 1680, 1720, 1750]),
        (4, [0, 320, 640, 960, 1040, 1360, 1520, 1680, 1750]),
        (0, [0, 1040, 1520, 1750]),
    ],
)
def test_a_setting_thins_it(run: Path, every: int, steps: list[int]) -> None:
    name = f"thin-{every}"
    text = f"extends: paper\nevaluation:\n  curve_every: {every}\n"
    (run / f"config/scales/{name}.yaml").write_text(text, encoding="utf-8")
    assert [point.total_step for point in dag.curve(name)] == steps
