"""Statistics of several samples a problem: rates, standard errors, intervals, paired differences.

All functions take `correct`, a table of problems × samples of 0 and 1, or things made of it. Rates are fractions.

Two things vary: which samples were drawn (within problems) and which problems the set happens to hold (between them).
An error within problems says how far a second run on the same set may differ; the total error how far the same
system may differ on another set of its kind, and is the one to compare with what others measured.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]


@dataclass(frozen=True)
class StandardError:
    """Of a mean over problems, and its two parts: total² = within² + between²."""

    total: float
    within: float
    between: float


def pass_at_1(correct: Table) -> float:
    """The share of right answers: the mean over problems of each problem's share."""
    return float(correct.mean())


def standard_error(correct: Table) -> StandardError:
    """Unbiased in its squares: the variance of problem shares over problems; within, p(1-p)/(n-1) of each problem."""
    problems, samples = correct.shape
    shares = correct.mean(axis=1)
    total = float(shares.var(ddof=1)) / problems if problems > 1 else 0.0
    within = float((shares * (1 - shares) / (samples - 1)).sum()) / problems**2 if samples > 1 else 0.0
    return StandardError(
        sqrt(total), sqrt(min(within, total) if problems > 1 else within), sqrt(max(0, total - within))
    )


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


def bootstrap(values: Sequence[NDArray[np.float64]], seed: int, draws: int) -> NDArray[np.float64]:
    """Resampled means: problems are drawn anew within each set, and the sets' means averaged.

    `values` holds one array of per-problem values for each set; one set gives its own mean. A problem is drawn with
    all its samples, which carries the variation within it along.
    """
    random = np.random.default_rng(seed)
    total = np.zeros(draws)
    for shares in values:
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
    standard_error: float
    interval: tuple[float, float]
    """95 %, by bootstrap over problems."""
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
    variance = sum(float(d.var(ddof=1)) / len(d) for d in differences if len(d) > 1) / len(differences) ** 2
    resampled = bootstrap(differences, seed, draws)
    other_side = min(int((resampled <= 0).sum()), int((resampled >= 0).sum()))
    random = np.random.default_rng(seed + 1)
    exchanged = np.zeros(draws)
    for d in differences:
        kept = random.integers(2, size=(draws, len(d)), dtype=np.int8)
        exchanged += (2 * (kept @ d) - d.sum()) / len(d)
    as_far = int((np.abs(exchanged / len(differences)) >= abs(value) - 1e-12).sum())
    return Difference(
        value,
        sqrt(variance),
        interval(resampled),
        min(1.0, 2 * (other_side + 1) / (draws + 1)),
        (as_far + 1) / (draws + 1),
    )
