"""Standard errors of claim values, of their differences and of their ratios.

Values of the same problems vary together, so that a difference has an error of its own, not that of two independent
numbers. Each value therefore carries its influences: by how much each problem draws it from its mean. Those of a
difference are the differences of influences (the linearised, or delta, method; a ratio likewise), and the error is
that of a mean over independent problems, clusters of their samples.
"""

from collections.abc import Callable, Mapping
from math import hypot, sqrt

import numpy as np

from deepscaler.evaluation.statistics import EQUAL, error_of_mean
from deepscaler.reporting.claims.results import Estimate, Influences

Samples = Mapping[str, Mapping[str, list[float]]]
"""Benchmark → problem → the values of its samples; a problem without any is left out."""
PERCENT = 100.0


def estimate_of(samples: Samples, percent: bool) -> Estimate | None:
    """The mean over benchmarks of the mean of all their samples; `percent`: they are shares, 0 to 100."""
    means, influences = [], {}
    for benchmark, of_problems in samples.items():
        count = sum(map(len, of_problems.values()))
        if not count:
            return None
        mean = sum(map(sum, of_problems.values())) / count
        means.append(mean)
        influences[benchmark] = {
            problem: sum(value - mean for value in values) / count / len(samples)
            for problem, values in of_problems.items()
        }
    if not means:
        return None
    ends = (0.0, PERCENT) if percent else None
    return Estimate(sum(means) / len(means), error_of(influences, ends), influences, ends)


def error_of(influences: Influences, ends: tuple[float, float] | None) -> float | None:
    """The standard error; None where a benchmark has a single problem, or all are alike and nothing bounds them.

    `ends` are the least and the largest possible value; `statistics.varied` says what is assumed where all are alike.
    """
    errors = []
    for found in influences.values():
        values = np.array(list(found.values()))
        if len(values) < 2:
            return None
        if np.abs(values).max() > EQUAL:
            errors.append(sqrt(float(np.square(values).sum()) * len(values) / (len(values) - 1)))
        elif ends:
            errors.append((error_of_mean(np.zeros(len(values)), *ends) or 0.0) / len(influences))
        else:
            return None
    return hypot(*errors) if errors else None


def difference(first: Estimate, second: Estimate) -> Estimate:
    """`first` minus `second`."""
    value = first.value - second.value
    if not paired(first, second):
        return Estimate(value, combined_error(first.standard_error, second.standard_error))
    influences = combined(first, second, lambda one, other: one - other)
    ends = (-PERCENT, PERCENT) if first.ends and second.ends else None
    return Estimate(value, error_of(influences, ends), influences, ends)


def quotient(first: Estimate, second: Estimate) -> Estimate | None:
    """`first` over `second`; None where that is 0."""
    if not second.value:
        return None
    value = first.value / second.value
    if not paired(first, second):
        parts = [
            None if part.standard_error is None or not part.value else value * part.standard_error / part.value
            for part in (first, second)
        ]
        return Estimate(value, combined_error(*parts))
    influences = combined(first, second, lambda one, other: (one - value * other) / second.value)
    return Estimate(value, error_of(influences, None), influences)


def paired(first: Estimate, second: Estimate) -> bool:
    """Whether it is known of both which problems they come from."""
    return bool(first.influences and second.influences)


def combined(first: Estimate, second: Estimate, combine: Callable[[float, float], float]) -> Influences:
    """The influences of both, problem by problem; one that has no part in a value has no influence on it."""
    found: Influences = {}
    for benchmark in [*first.influences, *(name for name in second.influences if name not in first.influences)]:
        ours, theirs = first.influences.get(benchmark, {}), second.influences.get(benchmark, {})
        found[benchmark] = {
            problem: combine(ours.get(problem, 0.0), theirs.get(problem, 0.0)) for problem in sorted({*ours, *theirs})
        }
    return found


def combined_error(*errors: float | None) -> float | None:
    """The standard error of a sum or difference of independent estimates; None where one is not known."""
    known = [error for error in errors if error is not None]
    return hypot(*known) if len(known) == len(errors) else None
