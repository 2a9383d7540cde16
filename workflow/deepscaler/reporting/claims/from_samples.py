"""Claim values that no table holds: computed from single grades, or from the training problems."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from deepscaler import dag, foreign, records, settings
from deepscaler.reporting.claims.errors import Samples, estimate_of
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


def samples_of(
    results: Results, measure: TableCell | TokenCell, value_of: Callable[[dict[str, Any]], float | None]
) -> Samples:
    """What `value_of` makes of each grade that a measure is of, by benchmark and problem; None leaves one out."""
    grader = settings.load_scale(results.scale).evaluation.grader
    columns = ["benchmark", "problem_id", grader, "tokens", "finish_reason"]
    found: dict[str, dict[str, list[float]]] = {name: {} for name in benchmarks_of(results.scale, measure.column)}
    for row in grades(results, measure.system, columns):
        if row["benchmark"] in found:
            value = value_of({**row, "right": row[grader]})
            if value is not None:
                found[row["benchmark"]].setdefault(row["problem_id"], []).append(value)
    return found


def lengths(results: Results, measure: TokenCell) -> Estimate | None:
    """The mean length of some answers, or the percentage of those that were cut off, from the grades."""

    def value_of(row: dict[str, Any]) -> float | None:
        if measure.answers == "truncated":
            return 100.0 * (row["finish_reason"] == "length")
        counts = measure.answers in ("all", "right" if row["right"] else "wrong")
        return float(row["tokens"]) if counts else None

    return estimate_of(samples_of(results, measure, value_of), percent=measure.answers == "truncated")


def with_token_limit(results: Results, measure: TableCell | TokenCell) -> Estimate | None:
    """As if each answer had been cut off at `limit` tokens: a longer one counts as wrong."""
    limit = measure.limit
    if limit is None:
        return None

    def value_of(row: dict[str, Any]) -> float | None:
        right = row["right"] and row["tokens"] <= limit
        if isinstance(measure, TableCell):
            return 100.0 * right
        if measure.answers == "truncated":
            return 100.0 * (row["tokens"] > limit)
        counts = measure.answers in ("all", "right" if right else "wrong")
        return float(min(row["tokens"], limit)) if counts else None

    percent = isinstance(measure, TableCell) or measure.answers == "truncated"
    return estimate_of(samples_of(results, measure, value_of), percent)


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
    path = path_of(name)
    if not path.is_file():
        return []
    texts = foreign.parquet(path).read(columns=["problem"])["problem"].to_pylist()
    return ["".join(text.split()).casefold() for text in texts if text is not None]
