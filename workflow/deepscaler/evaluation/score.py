"""Scores of one system on one suite: results/{scale}/scores/{system}-{suite}.json.

Rates are in percent, standard errors and intervals in percentage points, lengths in tokens::

    {"system": "deepscaler-8k", "suite": "table", "grader": "paper",    which grader the headline numbers are of
     "samples": 16,
     "average": {"pass_at_1", "standard_error", "standard_error_within", "interval": [low, high]},
     "benchmarks": {
       "aime-2024": {
         "title", "column", "problems": 30, "samples": 16, "correct": 207, "total": 480,
         "pass_at_1": 43.125, "standard_error", "standard_error_within", "standard_error_between",
         "interval": [low, high],                              95 %, bootstrap over problems
         "pass_at_k": {"1", "2", "4", "8", "16"}, "majority",  majority of all samples
         "truncated", "missing_answer", "malformed",           shares of samples
         "tokens": {"correct", "incorrect", "all"},            means; null where there is no such answer
         "marked": {"contaminated": 6},                        problems with a known defect, by `flags` of the settings
         "unmarked": {"problems", "pass_at_1", "standard_error"},   of the others; null where none is marked
         "strict": {"correct", "pass_at_1", "standard_error", …, "tokens"},   the same of the other grader
         "corrected": {"problems": 34, "pass_at_1"},      strict's by config/corrections.yaml; where it has some
         "per_problem": {"id": […], "correct": […], "correct_strict": […], "tokens": […]}}},   counts, mean tokens
     "provenance": {"model": {"sha256", …}, "protocol": {…}, "versions": {…}}}

What can't be estimated is null: errors within problems of one sample, total errors and intervals of one problem.
The headline grader is the scale's setting `evaluation.grader`; the other one's numbers stand under its name.
"""

from collections.abc import Iterable
from math import hypot
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepscaler import records, settings
from deepscaler.alerts import events
from deepscaler.errors import UserError
from deepscaler.evaluation import statistics
from deepscaler.evaluation.curve import curve_scores
from deepscaler.evaluation.statistics import Table
from deepscaler.files import parse_json, write_json
from deepscaler.reward.verdicts import MODES, STRICT, Mode

PERCENT = 100.0

GradeRow = dict[str, Any]
"""A row of a table of grades, as `records.GRADE` has it; an answer that is missing is None."""


def score(*, scale: str, system: str, suite: str, grades: Path, output: Path) -> None:
    """Write the scores of a system's grades on a suite."""
    content = scores_of(scale, system, suite, grades)
    write_json(output, content)
    for name, entry in content["benchmarks"].items():
        error = entry["standard_error"]
        print(f"{name}: {entry['pass_at_1']:.1f}" + (f" ± {error:.1f}" if error is not None else ""))
    tell_curve(scale, content)


def tell_curve(scale: str, content: dict[str, Any]) -> None:
    """Alert people to a checkpoint's scores along training."""
    for one in curve_scores(scale, [content]):
        error = "" if one.standard_error is None else f" ± {one.standard_error:.1f}"
        text = f"{one.benchmark} after {one.total_step} steps: {one.score:.1f}{error}"
        name = f"score-{one.system}-{one.benchmark}-{events.short(one, content['provenance']['model'])}"
        events.from_job(scale, name, f"{one.benchmark} {one.score:.1f}", text)


def scores_of(scale: str, system: str, suite: str, grades: Path) -> dict[str, Any]:
    """The scores of a system's grades on a suite, as they stand in the file."""
    evaluation = settings.load_scale(scale).evaluation
    if suite not in evaluation.suites:
        raise UserError(f"scale {scale!r} has no suite {suite!r}", None, f"known: {', '.join(evaluation.suites)}")
    rows = records.read(grades, records.GRADE).to_pylist()
    seed, draws = settings.load_scale(scale).seed, evaluation.bootstrap_draws
    corrected = parse_json(records.metadata(grades).get("corrected", "{}"), grades)
    scores = {}
    for benchmark in evaluation.suites[suite]:
        problems = samples_of_problems(benchmark, rows, evaluation.samples, grades)
        scores[benchmark] = {
            **benchmark_scores(benchmark, problems, evaluation.grader, seed, draws),
            **corrected_scores(problems, corrected),
        }
    return {
        "system": system,
        "suite": suite,
        "grader": evaluation.grader,
        "samples": evaluation.samples,
        "average": average(list(scores.values()), seed, draws),
        "benchmarks": scores,
        "provenance": {
            key: parse_json(value, grades)
            for key, value in records.metadata(grades).items()
            if key in ("model", "protocol", "versions")
        },
    }


def samples_of_problems(benchmark: str, rows: list[GradeRow], samples: int, grades: Path) -> list[list[GradeRow]]:
    """The grades of one benchmark, a list a problem, both in order.

    Raises:
        UserError: problems or samples are missing or too many; the first such problem is named.
    """
    of_problem: dict[str, list[GradeRow]] = {}
    for row in rows:
        if row["benchmark"] == benchmark:
            of_problem.setdefault(row["problem_id"], []).append(row)
    if not of_problem:
        raise UserError(f"no grades of {benchmark}", grades)
    if len(of_problem) != (size := settings.benchmarks()[benchmark].size):
        raise UserError(f"{benchmark}: grades of {len(of_problem)} problems, the benchmark has {size}", grades)
    ordered = {name: sorted(of_problem[name], key=lambda row: row["sample"]) for name in sorted(of_problem)}
    for name, found in ordered.items():
        if [row["sample"] for row in found] != list(range(samples)):
            raise UserError(
                f"{name}: {len(found)} samples, expected {samples}, numbered 0 to {samples - 1}, each once", grades
            )
    return list(ordered.values())


def benchmark_scores(
    benchmark: str, problems: list[list[GradeRow]], grader: Mode, seed: int, draws: int
) -> dict[str, Any]:
    """One benchmark's scores: `problems` are its grades, a list of samples a problem."""
    entry = settings.benchmarks()[benchmark]
    other = next(name for name in MODES if name != grader)
    correct = verdicts(problems, grader)
    rows = [row for problem in problems for row in problem]
    ids = [problem[0]["problem_id"] for problem in problems]
    marked = {index for indices in entry.flags.values() for index in indices}
    sound = np.array([int(identifier.rsplit("/", 1)[1]) not in marked for identifier in ids])
    return {
        "title": entry.title,
        "column": entry.column,
        "problems": correct.shape[0],
        "samples": correct.shape[1],
        "total": len(rows),
        **graded_scores(problems, grader, seed, draws),
        "truncated": share(row["finish_reason"] == "length" for row in rows),
        "missing_answer": share(row["answer"] is None for row in rows),
        "malformed": share(not row["well_formed"] for row in rows),
        "marked": {flag: len(indices) for flag, indices in entry.flags.items()},
        "unmarked": unmarked_scores(correct[sound]) if marked else None,
        other: graded_scores(problems, other, seed, draws),
        "per_problem": {
            "id": ids,
            "correct": correct.sum(axis=1).astype(int).tolist(),
            f"correct_{other}": verdicts(problems, other).sum(axis=1).astype(int).tolist(),
            "tokens": [round(mean(row["tokens"] for row in problem), 1) for problem in problems],
        },
    }


def verdicts(problems: list[list[GradeRow]], grader: Mode) -> Table:
    """A grader's verdicts as 0 and 1, problems × samples."""
    return np.array([[row[grader] for row in problem] for problem in problems], dtype=float)


def graded_scores(problems: list[list[GradeRow]], grader: Mode, seed: int, draws: int) -> dict[str, Any]:
    """The scores that depend on the grader."""
    correct = verdicts(problems, grader)
    shares = correct.mean(axis=1)
    error = statistics.standard_error(correct)
    samples = correct.shape[1]
    answers = [[row["answer"] for row in problem] for problem in problems]
    tokens = np.array([row["tokens"] for problem in problems for row in problem], dtype=float)
    return {
        "correct": int(correct.sum()),
        "pass_at_1": percent(statistics.pass_at_1(correct)),
        "standard_error": percent_or_none(error.total),
        "standard_error_within": percent_or_none(error.within),
        "standard_error_between": percent_or_none(error.between),
        "interval": interval_of([shares], seed, draws),
        "pass_at_k": {
            str(k): percent(statistics.pass_at_k(correct, k)) for k in (1, 2, 4, 8, 16, 32, 64) if k <= samples
        },
        "majority": percent(statistics.majority(answers, correct)),
        "tokens": mean_tokens(tokens, correct.reshape(-1) > 0),
    }


def interval_of(shares: list[NDArray[np.float64]], seed: int, draws: int) -> list[float] | None:
    """The 95 % interval in percent; None where a benchmark has a single problem."""
    found = statistics.interval(statistics.bootstrap(shares, seed, draws)) if all(len(s) > 1 for s in shares) else None
    return [percent(bound) for bound in found] if found else None


def corrected_scores(problems: list[list[GradeRow]], corrected: dict[str, list[int]]) -> dict[str, Any]:
    """Pass@1 of the strict grader where corrected golds count; nothing where no gold of the benchmark is corrected."""
    ids = [problem[0]["problem_id"] for problem in problems]
    if not any(name in corrected for name in ids):
        return {}
    plain = verdicts(problems, STRICT)
    rows = [corrected.get(name, row) for name, row in zip(ids, plain.tolist(), strict=True)]
    if any(len(row) != plain.shape[1] for row in rows):
        raise UserError("verdicts by corrected golds that are of other samples", None, "grade again")
    changed = np.array(rows, dtype=float)
    return {
        "corrected": {
            "problems": sum(name in corrected for name in ids),
            "pass_at_1": percent(statistics.pass_at_1(changed)),
            "standard_error_within": percent_or_none(statistics.standard_error(changed).within),
        }
    }


def unmarked_scores(correct: Table) -> dict[str, Any]:
    """Pass@1 of the problems without a known defect (`flags` of the settings)."""
    return {
        "problems": len(correct),
        "pass_at_1": percent(statistics.pass_at_1(correct)),
        "standard_error": percent_or_none(statistics.standard_error(correct).total),
    }


def average(entries: list[dict[str, Any]], seed: int, draws: int) -> dict[str, Any]:
    """Pass@1 averaged over the suite's benchmarks, as in the paper's last column."""
    shares = [np.asarray(entry["per_problem"]["correct"]) / entry["samples"] for entry in entries]
    return {
        "pass_at_1": round(statistics.average([entry["pass_at_1"] for entry in entries]), 6),
        "standard_error": error_of_average([entry["standard_error"] for entry in entries]),
        "standard_error_within": error_of_average([entry["standard_error_within"] for entry in entries]),
        "interval": interval_of(shares, seed, draws),
    }


def error_of_average(errors: list[float | None]) -> float | None:
    """The standard error of a mean over benchmarks; None where one of theirs is not known."""
    known = [error for error in errors if error is not None]
    return round(hypot(*known) / len(known), 6) if len(known) == len(errors) else None


def mean_tokens(tokens: Any, right: Any) -> dict[str, float | None]:
    """Mean lengths of right, wrong and all responses."""
    parts = {"correct": tokens[right], "incorrect": tokens[~right], "all": tokens}
    return {name: round(float(values.mean()), 1) if len(values) else None for name, values in parts.items()}


def share(hits: Iterable[bool]) -> float:
    """The percentage of samples of which something is true."""
    return percent(mean(float(hit) for hit in hits))


def percent_or_none(fraction: float | None) -> float | None:
    return None if fraction is None else percent(fraction)


def percent(fraction: float) -> float:
    return round(PERCENT * float(fraction), 6)
