"""Claim values that no table holds: computed from single grades, or from the training problems."""

from collections import Counter
from typing import Any

from deepscaler import dag, records, settings
from deepscaler.reporting.claims.results import Estimate, Results
from deepscaler.reporting.file_names import path_of
from deepscaler.settings.claims import TableCell, TokenCell

ANSWERS = {"right": "correct", "wrong": "incorrect", "all": "all"}
"""A claim's word for some answers → the key of a scores file."""


def grades(results: Results, system: str, columns: list[str]) -> list[dict[str, Any]]:
    """Columns of a system's grades; empty where they are missing, as after a download of results alone."""
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


def length_error(results: Results, measure: TokenCell) -> float | None:
    """Standard error of a mean length, or of the share that was cut off: of other problems and other samples."""
    grader = settings.load_scale(results.scale).evaluation.grader
    rows = grades(results, measure.system, ["benchmark", "problem_id", grader, "tokens", "finish_reason"])
    errors = []
    for benchmark in benchmarks_of(results.scale, measure.column):
        of_problems: dict[str, list[float]] = {}
        for row in rows:
            if row["benchmark"] == benchmark and measure.answers in ("all", "truncated", answer_kind(row[grader])):
                value = 100.0 * (row["finish_reason"] == "length") if measure.answers == "truncated" else row["tokens"]
                of_problems.setdefault(row["problem_id"], []).append(value)
        if len(of_problems) < 2:
            return None
        errors.append(clustered_error(list(of_problems.values())))
    return sum(error**2 for error in errors) ** 0.5 / len(errors) if errors else None


def answer_kind(right: bool) -> str:
    return "right" if right else "wrong"


def clustered_error(groups: list[list[float]]) -> float:
    """Standard error of the mean of all values, which come in independent groups: problems, answers to each."""
    count = sum(len(group) for group in groups)
    mean = sum(sum(group) for group in groups) / count
    squares = sum(sum(value - mean for value in group) ** 2 for group in groups)
    return float((squares * len(groups) / (len(groups) - 1)) ** 0.5 / count)


def with_token_limit(results: Results, measure: TableCell | TokenCell) -> Estimate | None:
    """As if each answer had been cut off at `limit` tokens: a longer one counts as wrong."""
    names = benchmarks_of(results.scale, measure.column)
    grader = settings.load_scale(results.scale).evaluation.grader
    rows = [
        row for row in grades(results, measure.system, ["benchmark", grader, "tokens"]) if row["benchmark"] in names
    ]
    limit = measure.limit
    if not rows or limit is None:
        return None
    right = [row[grader] and row["tokens"] <= limit for row in rows]
    if isinstance(measure, TableCell):
        return Estimate(100 * sum(right) / len(rows))
    if measure.answers == "truncated":
        return Estimate(100 * sum(row["tokens"] > limit for row in rows) / len(rows))
    keep = {"right": right, "wrong": [not verdict for verdict in right], "all": [True] * len(rows)}[measure.answers]
    lengths = [min(row["tokens"], limit) for row, kept in zip(rows, keep, strict=True) if kept]
    return Estimate(sum(lengths) / len(lengths)) if lengths else None


def malformed_right_count(results: Results) -> Estimate | None:
    """Answers of all systems that lack the format and were graded right by the paper's grader."""
    columns = ["well_formed", "paper"]
    rows = [row for system in dag.evaluated(results.scale) for row in grades(results, system, columns)]
    return Estimate(sum(row["paper"] and not row["well_formed"] for row in rows)) if rows else None


def unwanted_problem_count(results: Results, which: str) -> Estimate | None:
    """Training problems whose text stands among them more than once, or in a benchmark, except for blanks and case."""
    train = problem_texts(f"work/{results.scale}/data/train/train.parquet")
    if not train:
        return None
    if which == "repeated":
        return Estimate(sum(count - 1 for count in Counter(train).values()))
    names = settings.load_scale(results.scale).evaluation.suites["table"]
    tests = {text for name in names for text in problem_texts(f"work/{results.scale}/benchmarks/{name}.parquet")}
    return Estimate(sum(text in tests for text in train)) if tests else None


def problem_texts(name: str) -> list[str]:
    """The problems of a table, without blanks and in one case, so that texts can be compared."""
    import pyarrow.parquet as pq

    path = path_of(name)
    if not path.is_file():
        return []
    return [
        "".join(text.split()).casefold() for text in pq.read_table(path, columns=["problem"])["problem"].to_pylist()
    ]
