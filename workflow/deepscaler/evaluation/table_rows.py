"""A scale's systems as rows of the tables: the scores that were measured, or the numbers that others reported."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepscaler import dag, settings
from deepscaler.errors import UserError
from deepscaler.evaluation import statistics
from deepscaler.files import read_json, writing
from deepscaler.reward.verdicts import STRICT
from deepscaler.settings.models import Reported, System, Trained

MISSING = "-"
PAPER_COLUMNS = ("aime_2024", "math_500", "amc_2023", "minerva_math", "olympiad_bench")
"""The benchmarks of the paper's table, in its order."""
AVERAGE = "average"
"""The column of the mean over all benchmarks of the suite `table`."""


@dataclass(frozen=True)
class Row:
    """One system of the table."""

    system: str
    entry: System
    scores: dict[str, Any] | None
    """The scores file, or None for a system whose numbers are reported."""
    columns: tuple[str, ...]
    """Those of the suite's benchmarks."""

    @property
    def title(self) -> str:
        return self.entry.title

    def benchmark(self, column: str) -> dict[str, Any] | None:
        """The scores of the benchmark that fills a column."""
        entries = self.scores["benchmarks"].values() if self.scores else ()
        return next((entry for entry in entries if entry["column"] == column), None)

    def value(self, column: str) -> float | None:
        """Pass@1 in percent: measured or reported; None where there is none."""
        if isinstance(self.entry, Reported):
            return self.reported_average() if column == AVERAGE else self.entry.scores.get(column)
        found = self.measured(column)
        return found["pass_at_1"] if found else None

    def reported_average(self) -> float | None:
        """The mean of what is reported, where that covers the whole suite."""
        assert isinstance(self.entry, Reported)
        reported = self.entry.scores
        covered = all(column in reported for column in self.columns)
        return statistics.average([reported[column] for column in self.columns]) if covered else None

    def unmarked(self, column: str) -> float | None:
        """Pass@1 in percent of the problems without a known defect; None where there is no mark, or no measurement."""
        found = self.benchmark(column)
        return found["unmarked"]["pass_at_1"] if found and found.get("unmarked") else None

    def corrected(self, column: str) -> tuple[float, float] | None:
        """Pass@1 of the strict grader by the benchmark's golds and by the corrected ones; None where none is."""
        found = self.benchmark(column)
        if found is None or "corrected" not in found:
            return None
        own = found if self.scores and self.scores["grader"] == STRICT else found[STRICT]
        return own["pass_at_1"], found["corrected"]["pass_at_1"]

    def standard_error(self, column: str) -> float | None:
        """The total one, in points: of other problems and other samples."""
        found = self.measured(column)
        return found["standard_error"] if found else None

    def standard_error_within(self, column: str) -> float | None:
        """That within problems, in points: of another run on the same ones."""
        found = self.measured(column)
        return found["standard_error_within"] if found else None

    def measured(self, column: str) -> dict[str, Any] | None:
        """The scores of a benchmark's column, or of the average."""
        if column == AVERAGE:
            return self.scores["average"] if self.scores else None
        return self.benchmark(column)

    def shares(self, column: str) -> list[NDArray[np.float64]]:
        """Per-problem shares of right answers, one array a benchmark: of one column, or of all that are averaged."""
        found = [self.benchmark(name) for name in (self.columns if column == AVERAGE else (column,))]
        return [np.asarray(entry["per_problem"]["correct"]) / entry["samples"] for entry in found if entry]


def table_rows(scale: str, scores: Sequence[Path], *, so_far: bool = False) -> list[Row]:
    """The rows in the scale's order. Every sampled system must have scores; `so_far`: others are left out."""
    loaded = {content["system"]: content for content in map(read_json, scores)}
    columns, rows = tuple(table_columns(scale)), []
    for name in settings.load_scale(scale).evaluation.systems:
        entry = settings.systems()[name]
        if not isinstance(entry, Reported) and name not in loaded:
            if so_far:
                continue
            raise UserError(f"no scores of {name}", scores[0].parent if scores else None)
        rows.append(Row(name, entry, loaded.get(name), columns))
    return rows


def table_columns(scale: str) -> list[str]:
    """The columns of the benchmarks of the suite `table`: the paper's first, in its order, then any others."""
    names = settings.load_scale(scale).evaluation.suites["table"]
    columns = [settings.benchmarks()[name].column for name in names]
    known = [column for column in PAPER_COLUMNS if column in columns]
    return known + [column for column in columns if column not in PAPER_COLUMNS]


def pairs(scale: str, rows: Sequence[Row]) -> list[tuple[str, Row, Row]]:
    """What is compared: every sampled system with the base, and every training stage with the one before."""
    sampled = [row for row in rows if row.scores]
    base = next((row for row in sampled if row.system == settings.load_scale(scale).base), None)
    found = [("base", row, base) for row in sampled if base and row is not base]
    stages = [row for row in sampled if isinstance(row.entry, Trained)]
    order = {segment.stage: position for position, segment in enumerate(dag.segments(scale))}
    stages.sort(key=lambda row: order[row.entry.stage] if isinstance(row.entry, Trained) else 0)
    return found + [("stage before", row, before) for before, row in pairwise(stages)]


def write_csv(path: Path, rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
    """Rows as CSV; what is missing is `-`, never 0."""
    with writing(path) as aside, aside.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, columns, restval=MISSING, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: MISSING if value is None else value for key, value in row.items()})


def rounded(value: float | None, digits: int = 4) -> str:
    """A number for a CSV cell, or `-`."""
    return MISSING if value is None else f"{value:.{digits}f}"
