"""A claim's number where the tables do not hold it: counted from single grades, or from the training problems."""

from collections import Counter
from typing import Any

from deepscaler import dag, records, settings
from deepscaler.reporting.claims.results import Estimate, Results
from deepscaler.reporting.provenance.jobs import path_of
from deepscaler.settings.claims import TableCell, TokenCell

ANSWERS = {"right": "correct", "wrong": "incorrect", "all": "all"}
"""A claim's word for some answers → the key of a scores file."""


def grades(results: Results, system: str, columns: list[str]) -> list[dict[str, Any]]:
    """Columns of a system's grades; none where they are not at hand, as after a download of results."""
    path = path_of(f"work/{results.scale}/grades/{system}/table.parquet")
    if not path.is_file():
        return []
    table = records.read(path, records.GRADE).select(columns)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def benchmarks_of(scale: str, column: str) -> list[str]:
    """The benchmarks of a column of the table; all of them for `average`."""
    names = settings.load_scale(scale).evaluation.suites["table"]
    return [name for name in names if column in (settings.benchmarks()[name].column, "average")]


def length_error(results: Results, wanted: TokenCell) -> float | None:
    """Standard error of a mean length, or of the share that was cut off: of other problems and other samples."""
    grader = settings.load_scale(results.scale).evaluation.grader
    rows = grades(results, wanted.system, ["benchmark", "problem_id", grader, "tokens", "finish_reason"])
    errors = []
    for benchmark in benchmarks_of(results.scale, wanted.column):
        of_problems: dict[str, list[float]] = {}
        for row in rows:
            if row["benchmark"] == benchmark and wanted.answers in ("all", "truncated", verdict(row[grader])):
                value = 100.0 * (row["finish_reason"] == "length") if wanted.answers == "truncated" else row["tokens"]
                of_problems.setdefault(row["problem_id"], []).append(value)
        if len(of_problems) < 2:
            return None
        errors.append(clustered_error(list(of_problems.values())))
    return sum(error**2 for error in errors) ** 0.5 / len(errors) if errors else None


def verdict(right: bool) -> str:
    return "right" if right else "wrong"


def clustered_error(groups: list[list[float]]) -> float:
    """Standard error of the mean of all values, which come in independent groups: problems, answers to each."""
    count = sum(len(group) for group in groups)
    mean = sum(sum(group) for group in groups) / count
    squares = sum(sum(value - mean for value in group) ** 2 for group in groups)
    return float((squares * len(groups) / (len(groups) - 1)) ** 0.5 / count)


def limited(results: Results, wanted: TableCell | TokenCell) -> Estimate | None:
    """As if each answer had been cut off at `limit` tokens: a longer one counts as wrong."""
    names = benchmarks_of(results.scale, wanted.column)
    grader = settings.load_scale(results.scale).evaluation.grader
    rows = [row for row in grades(results, wanted.system, ["benchmark", grader, "tokens"]) if row["benchmark"] in names]
    limit = wanted.limit
    if not rows or limit is None:
        return None
    right = [row[grader] and row["tokens"] <= limit for row in rows]
    if isinstance(wanted, TableCell):
        return Estimate(100 * sum(right) / len(rows))
    if wanted.answers == "truncated":
        return Estimate(100 * sum(row["tokens"] > limit for row in rows) / len(rows))
    keep = {"right": right, "wrong": [not verdict for verdict in right], "all": [True] * len(rows)}[wanted.answers]
    lengths = [min(row["tokens"], limit) for row, kept in zip(rows, keep, strict=True) if kept]
    return Estimate(sum(lengths) / len(lengths)) if lengths else None


def malformed_right(results: Results) -> Estimate | None:
    """Answers of all systems that lack the format and were graded right by the paper's grader."""
    columns = ["well_formed", "paper"]
    rows = [row for system in dag.evaluated(results.scale) for row in grades(results, system, columns)]
    return Estimate(sum(row["paper"] and not row["well_formed"] for row in rows)) if rows else None


def unwanted_problems(results: Results, which: str) -> Estimate | None:
    """Training problems whose text stands among them more than once, or in a benchmark, but for blanks and case."""
    train = texts(f"work/{results.scale}/data/train/train.parquet")
    if not train:
        return None
    if which == "repeated":
        return Estimate(sum(count - 1 for count in Counter(train).values()))
    names = settings.load_scale(results.scale).evaluation.suites["table"]
    tests = {text for name in names for text in texts(f"work/{results.scale}/benchmarks/{name}.parquet")}
    return Estimate(sum(text in tests for text in train)) if tests else None


def texts(name: str) -> list[str]:
    """The problems of a table, as they are compared."""
    import pyarrow.parquet as pq

    path = path_of(name)
    if not path.is_file():
        return []
    return [
        "".join(text.split()).casefold() for text in pq.read_table(path, columns=["problem"])["problem"].to_pylist()
    ]
