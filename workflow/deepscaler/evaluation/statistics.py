"""Statistics of several samples a problem: rates, standard errors, intervals, paired differences.

All functions take `correct`, a table of problems × samples of 0 and 1, or things made of it. Rates are fractions.

Two things vary: which samples were drawn (within problems) and which problems the set happens to hold (between them).
An error within problems says how far a second run on the same set may differ, by us or by others: it is the one to
compare with what others measured on the same problems. The total error says how far the same system may differ on
another set of its kind.

An error that can't be estimated is None, never 0. Where no variation was seen among several values (all right, all
wrong), an error of 0 would say that everything is known; see `varied` for what is assumed in its place.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, hypot, sqrt

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]

EQUAL = 1e-12
"""Differences of rates below this are of rounding."""


@dataclass(frozen=True)
class StandardError:
    """Of a mean over problems, and its two parts: total² = within² + between²; None where it can't be estimated."""

    total: float | None
    """None of a single problem."""
    within: float | None
    """None of a single sample a problem."""
    between: float | None
    """None where one of the others is."""


def pass_at_1(correct: Table) -> float:
    """The share of right answers: the mean over problems of each problem's share."""
    return float(correct.mean())


def varied(values: NDArray[np.float64], low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
    """The values, if they vary; else with one more at the far end of what is possible, at both if equally far.

    n values that are all alike bound the share of others at about 3/n with 95 % confidence (Hanley and Lippman-Hand
    1983), which is what errors and intervals of the n + 1 come to.
    """
    if np.ptp(values) > EQUAL:
        return values
    farthest = max(values[0] - low, high - values[0])
    ends = [end for end in (low, high) if abs(end - values[0]) >= farthest - EQUAL]
    return np.append(values, ends)


def error_of_mean(values: NDArray[np.float64], low: float = 0.0, high: float = 1.0) -> float | None:
    """The standard error of a mean of independent values between `low` and `high`; None of a single one."""
    if len(values) < 2:
        return None
    values = varied(values, low, high)
    return sqrt(float(values.var(ddof=1)) / len(values))


def standard_error(correct: Table) -> StandardError:
    """Unbiased in its squares: the variance of problem shares over problems; within, p(1-p)/(n-1) of each problem."""
    problems, samples = correct.shape
    shares = correct.mean(axis=1)
    total, within = error_of_mean(shares), None
    if samples > 1:
        mixed = float((shares * (1 - shares)).sum()) > EQUAL
        squares = (shares * (1 - shares) / (samples - 1)).sum() / problems**2
        within = sqrt(squares) if mixed else 1 / (correct.size + 1)  # as `varied` has it, over all answers
    if total is None or within is None:
        return StandardError(total, within, None)
    within = min(within, total)
    return StandardError(total, within, sqrt(total**2 - within**2))


def average(rates: Sequence[float]) -> float:
    """The mean over all benchmarks of a suite, each counting the same."""
    return sum(rates) / len(rates)


def pass_at_k(correct: Table, k: int) -> float:
    """The chance that one of k samples is right, unbiased: 1 - C(n-c, k) / C(n, k) (Chen et al., arXiv 2107.03374)."""
    samples = correct.shape[1]
    if not 1 <= k <= samples:
        raise ValueError(f"k = {k} of {samples} samples")
    counts = correct.sum(axis=1).astype(int)
    return float(np.mean([1 - comb(samples - int(count), k) / comb(samples, k) for count in counts]))


def majority(answers: Sequence[Sequence[str | None]], correct: Table) -> float:
    """The share of problems whose most frequent answer is right.

    Answers count as the same where their text is, but for spaces; a missing one does not vote. Among answers that are
    equally frequent each has the same chance, so that the value does not depend on the samples' order.
    """
    shares = []
    for texts, verdicts in zip(answers, correct, strict=True):
        keys = [None if text is None else "".join(text.split()) for text in texts]
        votes = Counter(key for key in keys if key is not None)
        most = max(votes.values(), default=0)
        right = {key for key, verdict in zip(keys, verdicts, strict=True) if verdict}
        winners = [key for key, count in votes.items() if count == most]
        shares.append(sum(key in right for key in winners) / len(winners) if winners else 0.0)
    return float(np.mean(shares))


def bootstrap(
    values: Sequence[NDArray[np.float64]], seed: int, draws: int, low: float = 0.0, high: float = 1.0
) -> NDArray[np.float64]:
    """Resampled means: problems are drawn anew within each set, and the sets' means averaged.

    `values` holds one array of per-problem values for each set; one set gives its own mean. A problem is drawn with
    all its samples, which carries the variation within it along. Values lie between `low` and `high`; see `varied`.
    """
    random = np.random.default_rng(seed)
    total = np.zeros(draws)
    for shares in (varied(one, low, high) for one in values):
        drawn = random.integers(len(shares), size=(draws, len(shares)), dtype=np.int32)
        total += shares[drawn].mean(axis=1)
    return total / len(values)


def interval(resampled: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """The percentile interval."""
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """How much better one system is than another on the same problems."""

    value: float
    standard_error: float | None
    """None where a set has a single problem."""
    interval: tuple[float, float] | None
    """95 %, by bootstrap over problems; None where a set has a single one."""
    p_bootstrap: float
    """Two-sided: twice the share of resampled differences on the other side of zero."""
    p_permutation: float
    """Two-sided: the share of random exchanges of the two systems, problem by problem, that differ as much."""


def paired_difference(
    first: Sequence[NDArray[np.float64]], second: Sequence[NDArray[np.float64]], seed: int, draws: int
) -> Difference:
    """`first` minus `second`: arrays of per-problem shares, one a set, problems in the same order."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    value = float(np.mean([d.mean() for d in differences]))
    errors = [error for d in differences if (error := error_of_mean(d, low=-1.0)) is not None]
    known = len(errors) == len(differences)
    resampled = bootstrap(differences, seed, draws, low=-1.0)
    other_side = min(int((resampled <= 0).sum()), int((resampled >= 0).sum()))
    random = np.random.default_rng(seed + 1)
    exchanged = np.zeros(draws)
    for d in differences:
        kept = random.integers(2, size=(draws, len(d)), dtype=np.int8)
        exchanged += (2 * (kept @ d) - d.sum()) / len(d)
    as_far = int((np.abs(exchanged / len(differences)) >= abs(value) - 1e-12).sum())
    return Difference(
        value,
        hypot(*errors) / len(errors) if known else None,
        interval(resampled) if known else None,
        min(1.0, 2 * (other_side + 1) / (draws + 1)),
        (as_far + 1) / (draws + 1),
    )
