"""The results of a scale, in results/{scale}: each file is read once, when it is first needed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from deepscaler import dag, foreign, settings
from deepscaler.errors import UserError, refuse_unknown
from deepscaler.files import read_json
from deepscaler.settings.claims import Series

Row = dict[str, str]
Influences = dict[str, dict[str, float]]
"""Benchmark → problem → its influence on a value; see errors.py."""


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file, each a dictionary by column; empty where there is no such file."""
    return list(foreign.csv_rows(path)) if path.exists() else []


def number(row: Row, column: str, where: Path | str) -> float | None:
    """A cell as a number; None where it is empty or the row has no such column."""
    text = (row.get(column) or "").strip()
    if text in ("", "-", "nan"):
        return None
    try:
        return float(text)
    except ValueError:
        raise UserError(f"not a number in column {column!r}: {text[:40]!r}", where) from None


@dataclass(frozen=True)
class Step:
    """One training step."""

    total_step: int
    """Counted from the base model."""
    stage: str
    step: int
    """Within the stage."""
    row: Row

    def value(self, column: "Series | str") -> float | None:
        """A column of training.csv; the series of the figures are called as their columns are."""
        return number(self.row, column, "training.csv")


@dataclass(frozen=True)
class Estimate:
    """A measured number with its standard error, where one is known."""

    value: float
    standard_error: float | None = None
    influences: Influences = field(default_factory=dict)
    """By how much each problem draws the value from its mean; empty where that is not known."""
    ends: tuple[float, float] | None = None
    """The least and the largest value that a problem can have, where there are such."""


@dataclass(frozen=True)
class Results:
    """Reads a folder of results; a missing file gives an empty list or None, so that half a run can be read too."""

    scale: str
    folder: Path

    @classmethod
    def of(cls, scale: str, folder: Path | None = None) -> "Results":
        return cls(scale, folder or settings.run_root() / "results" / scale)

    @cached_property
    def table(self) -> list[Row]:
        return read_rows(self.folder / "table.csv")

    @cached_property
    def tokens(self) -> list[Row]:
        return read_rows(self.folder / "tokens.csv")

    @cached_property
    def comparisons(self) -> list[Row]:
        return read_rows(self.folder / "comparisons.csv")

    @cached_property
    def curation(self) -> list[Row]:
        return read_rows(self.folder / "curation.csv")

    @cached_property
    def compute(self) -> list[Row]:
        return read_rows(self.folder / "compute.csv")

    @cached_property
    def claims(self) -> list[Row]:
        return read_rows(self.folder / "claims.csv")

    @cached_property
    def training(self) -> list[Step]:
        return read_training(self.folder / "training.csv")

    def row(self, rows: list[Row], system: str) -> Row | None:
        """The row of a system in a table whose rows are systems."""
        if system not in settings.systems():
            raise refuse_unknown("model", system, list(settings.systems()))
        return next((row for row in rows if row["system"] == system), None)

    def cell(self, system: str, column: str) -> Estimate | None:
        """Pass@1 of a system in percent: one benchmark's column of table.csv, or `average`."""
        row = self.row(self.table, system)
        value = number(row, column, self.folder / "table.csv") if row else None
        if row is None or value is None:
            return None
        return Estimate(value, number(row, f"{column}_standard_error", self.folder / "table.csv"))

    def scores(self, system: str, suite: str = "table") -> dict[str, Any] | None:
        """A system's scores file, as `deepscaler.evaluation.score` writes it; None where it is not there."""
        path = self.folder / "scores" / f"{system}-{suite}.json"
        return read_json(path) if path.exists() else None

    def curve(self) -> Iterator[tuple[dag.CurvePoint, Estimate]]:
        """The points of figure 1 that have been scored, in order of steps."""
        for point in dag.curve(self.scale):
            if score := self.scores(point.system, point.suite):
                yield point, aime_of(score)


def read_training(path: Path) -> list[Step]:
    """training.csv, a step a row, in order; a repeated step counts once, with its last row."""
    steps: dict[int, Step] = {}
    for row in read_rows(path):
        try:
            total, step = int(float(row["total_step"])), int(float(row["step"]))
            steps[total] = Step(total, row["stage"], step, row)
        except (KeyError, ValueError) as error:
            raise UserError(f"a row of training.csv lacks {error}", path) from None
    return [steps[total] for total in sorted(steps)]


def aime_of(score: dict[str, Any]) -> Estimate:
    """Pass@1 on AIME 2024, or on the benchmark in its column, in percent.

    The error is that of sampling alone: checkpoints are compared on the same problems.
    """
    for entry in score["benchmarks"].values():
        if entry["column"] == "aime_2024":
            return Estimate(entry["pass_at_1"], entry["standard_error_within"])
    raise UserError("scores without AIME 2024", f"{score['system']}, suite {score['suite']}")
