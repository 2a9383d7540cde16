"""What sampling until a claim is decided will take: expected rounds and chances, if the truth were known.

Arithmetic alone, without a sample, for plans: the mean of t rounds is taken as normal about the truth, with variance
(error of a round)² / t, and the confidence sequence (confidence_sequence.py) as wide as its bets make it where every
problem's answers vary as assumed. `benchmarks/verify.py` holds it against simulated runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from statistics import NormalDist

import numpy as np

from deepscaler.evaluation.confidence_sequence import bets_of


@dataclass(frozen=True)
class Design:
    """A claim about a mean over problems, and how it is sampled."""

    weights: Sequence[float]
    """Of the problems; they add up to 1."""
    error_of_round: float
    """Standard deviation of a round's weighted mean, in the claim's unit: √Σ w² σ², σ² within each problem."""
    span: float
    """Of a value: the highest less the lowest, in the claim's unit; 100 for Pass@1 in percent, 200 for a gain."""
    lower: float
    """The least value that meets the claim; -inf where there is none."""
    upper: float
    """The largest; inf where there is none."""
    error: float
    """The chance of a wrong verdict that is allowed."""


@dataclass(frozen=True)
class Prospect:
    """What comes out by a number of rounds."""

    met: float
    """The chance of this verdict by then."""
    outside: float
    rounds: float
    """Expected, sampling to the verdict or to that number."""

    @property
    def decided(self) -> float:
        return self.met + self.outside


def prospect(design: Design, truth: float, rounds: int) -> Prospect:
    """The prospect of `rounds` rounds at most, if `truth` is what the claim's value is."""
    met = outside = expected = 0.0
    for number in range(1, rounds + 1):
        expected += max(0.0, 1 - met - outside)
        now = verdicts_at(design, truth, number)
        met, outside = max(met, now[0]), max(outside, now[1])
    return Prospect(met, outside, expected)


def verdicts_at(design: Design, truth: float, rounds: int) -> tuple[float, float]:
    """The chances that the interval after so many rounds lies inside the claim's bounds, and wholly beyond them."""
    width = half_width(design, rounds)
    estimate = NormalDist(truth, max(design.error_of_round / sqrt(rounds), 1e-12)).cdf
    inside = estimate(design.upper - width) - estimate(design.lower + width)
    beyond = estimate(design.lower - width) + 1 - estimate(design.upper + width)
    return max(0.0, inside), beyond


def rounds_to_decide(design: Design, value: float, most: int) -> int | None:
    """After how many rounds an interval about `value` lies inside the claim's bounds or beyond; None after `most`."""
    room = min(abs(value - design.lower), abs(value - design.upper))
    if half_width(design, most) > room:
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if half_width(design, middle) <= room else (middle, high)
    return high


def half_width(design: Design, rounds: int) -> float:
    """Half of the interval after so many rounds, in the claim's unit; inf where nothing can be excluded.

    A bet λ on the mean's being off by h earns λ t h less ½ λ² t variance, which counts log t + 1 rounds more for what
    predictions have yet to learn.
    """
    weights = np.asarray(design.weights)
    bets = [float(bet) / float(weights.max()) / design.span for bet in bets_of(weights)]
    lost = [bet**2 * design.error_of_round**2 / 2 * (rounds + 1 + log(rounds)) for bet in bets]
    threshold = log(2 / design.error)

    def capital(width: float) -> float:
        logs = [bet * rounds * width - loss for bet, loss in zip(bets, lost, strict=True)]
        return max(logs) + log(sum(exp(value - max(logs)) for value in logs) / len(logs))

    low, high = 0.0, design.span
    if capital(high) < threshold:
        return inf
    while high - low > 1e-4 * design.span:
        middle = (low + high) / 2
        low, high = (middle, high) if capital(middle) < threshold else (low, middle)
    return high
