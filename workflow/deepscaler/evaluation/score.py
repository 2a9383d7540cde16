"""Scores of one system on one suite: results/{scale}/scores/{system}-{suite}.json.

Rates are in percent, standard errors and intervals in percentage points, lengths in tokens::

    {"system": "deepscaler-8k", "suite": "table", "grader": "paper",    which grader the headline numbers are of
     "samples": 16,
     "average": {"pass_at_1", "standard_error", "interval": [low, high]},
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
         "per_problem": {"id": […], "correct": […], "correct_strict": […], "tokens": […]}}},   counts, mean tokens
     "provenance": {"model": {"sha256", …}, "protocol": {…}, "versions": {…}}}

The headline grader is the scale's setting `evaluation.grader`; the other one's numbers stand under its name.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from deepscaler import records, settings
from deepscaler.errors import UserError
from deepscaler.evaluation import statistics
from deepscaler.evaluation.statistics import Table
from deepscaler.files import write_json
from deepscaler.reward.verdicts import MODES, Mode

PERCENT = 100.0


def score(*, scale: str, system: str, suite: str, grades: Path, output: Path) -> None:
    """Write the scores of a system's grades on a suite."""
    evaluation = settings.load_scale(scale).evaluation
    if suite not in evaluation.suites:
        raise UserError(f"scale {scale!r} has no suite {suite!r}", None, f"known: {', '.join(evaluation.suites)}")
    table = records.read(grades, records.GRADE).to_pandas()
    seed, draws = settings.load_scale(scale).seed, evaluation.bootstrap_draws
    scores = {}
    for benchmark in evaluation.suites[suite]:
        rows = table[table.benchmark == benchmark].sort_values(["problem_id", "sample"])
        if rows.empty:
            raise UserError(f"no grades of {benchmark}", grades)
        scores[benchmark] = benchmark_scores(benchmark, rows, evaluation.grader, seed, draws)
    write_json(
        output,
        {
            "system": system,
            "suite": suite,
            "grader": evaluation.grader,
            "samples": evaluation.samples,
            "average": average(list(scores.values()), seed, draws),
            "benchmarks": scores,
            "provenance": {
                key: json.loads(value)
                for key, value in records.metadata(grades).items()
                if key in ("model", "protocol", "versions")
            },
        },
    )
    for name, entry in scores.items():
        print(f"{name}: {entry['pass_at_1']:.1f} ± {entry['standard_error']:.1f}")


def benchmark_scores(benchmark: str, rows: Any, grader: Mode, seed: int, draws: int) -> dict[str, Any]:
    """One benchmark's scores: `rows` are its grades, a problem's samples next to each other."""
    entry = settings.benchmarks()[benchmark]
    problems = rows.problem_id.nunique()
    if len(rows) % problems:
        raise UserError(f"{benchmark}: {len(rows)} samples do not divide into {problems} problems")
    shape = (problems, len(rows) // problems)
    tables = {name: rows[name].to_numpy(dtype=float).reshape(shape) for name in MODES}
    other = next(name for name in MODES if name != grader)
    ids = rows.problem_id.to_numpy().reshape(shape)[:, 0].tolist()
    marked = {index for indices in entry.flags.values() for index in indices}
    sound = np.array([int(identifier.rsplit("/", 1)[1]) not in marked for identifier in ids])
    return {
        "title": entry.title,
        "column": entry.column,
        "problems": shape[0],
        "samples": shape[1],
        "total": len(rows),
        **graded_scores(rows, tables[grader], seed, draws),
        "truncated": percent((rows.finish_reason == "length").mean()),
        "missing_answer": percent(rows.answer.isna().mean()),
        "malformed": percent((~rows.well_formed).mean()),
        "marked": {flag: len(indices) for flag, indices in entry.flags.items()},
        "unmarked": unmarked_scores(tables[grader][sound]) if marked else None,
        other: graded_scores(rows, tables[other], seed, draws),
        "per_problem": {
            "id": ids,
            "correct": tables[grader].sum(axis=1).astype(int).tolist(),
            f"correct_{other}": tables[other].sum(axis=1).astype(int).tolist(),
            "tokens": rows.tokens.to_numpy(dtype=float).reshape(shape).mean(axis=1).round(1).tolist(),
        },
    }


def graded_scores(rows: Any, correct: Table, seed: int, draws: int) -> dict[str, Any]:
    """The scores that depend on the grader."""
    shares = correct.mean(axis=1)
    error = statistics.standard_error(correct)
    low, high = statistics.interval(statistics.bootstrap([shares], seed, draws))
    samples = correct.shape[1]
    answers = [
        [None if text is None else str(text) for text in row] for row in rows.answer.to_numpy().reshape(correct.shape)
    ]
    return {
        "correct": int(correct.sum()),
        "pass_at_1": percent(statistics.pass_at_1(correct)),
        "standard_error": percent(error.total),
        "standard_error_within": percent(error.within),
        "standard_error_between": percent(error.between),
        "interval": [percent(low), percent(high)],
        "pass_at_k": {
            str(k): percent(statistics.pass_at_k(correct, k)) for k in (1, 2, 4, 8, 16, 32, 64) if k <= samples
        },
        "majority": percent(statistics.majority(answers, correct)),
        "tokens": mean_tokens(rows.tokens.to_numpy(dtype=float), correct.reshape(-1) > 0),
    }


def unmarked_scores(correct: Table) -> dict[str, Any]:
    """Pass@1 of the problems without a known defect (`flags` of the settings)."""
    return {
        "problems": len(correct),
        "pass_at_1": percent(statistics.pass_at_1(correct)),
        "standard_error": percent(statistics.standard_error(correct).total),
    }


def average(entries: list[dict[str, Any]], seed: int, draws: int) -> dict[str, Any]:
    """Pass@1 averaged over the suite's benchmarks, as in the paper's last column."""
    shares = [np.asarray(entry["per_problem"]["correct"]) / entry["samples"] for entry in entries]
    low, high = statistics.interval(statistics.bootstrap(shares, seed, draws))
    errors = [entry["standard_error"] for entry in entries]
    return {
        "pass_at_1": round(statistics.average([entry["pass_at_1"] for entry in entries]), 6),
        "standard_error": round(float(np.sqrt(np.sum(np.square(errors)))) / len(errors), 6),
        "interval": [percent(low), percent(high)],
    }


def mean_tokens(tokens: Any, right: Any) -> dict[str, float | None]:
    """Mean lengths of right, wrong and all responses."""
    parts = {"correct": tokens[right], "incorrect": tokens[~right], "all": tokens}
    return {name: round(float(values.mean()), 1) if len(values) else None for name, values in parts.items()}


def percent(fraction: float) -> float:
    return round(PERCENT * float(fraction), 6)
