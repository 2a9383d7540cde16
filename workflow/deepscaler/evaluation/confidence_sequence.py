"""Confidence sequences: intervals that hold at every time of looking, for a mean over a fixed set of problems.

The model. Problem i answers with values in [low, high] whose mean is μ_i, drawn independently of each other; the
problems are fixed, and what is sought is θ = Σ w_i μ_i, the weights adding up to 1. A *round* is one value of every
problem. Nothing else is assumed: not how values are distributed, nor that problems are alike. So a difference of two
systems is one value, too, however much their answers have in common.

The bet (values scaled to [0, 1], c_i = w_i / max w). Before each round x̂_i is predicted from the rounds before. Since
1 + z ≤ exp(z), for every |λ| ≤ 1 and whatever is predicted

    E [1 + λ c_i (x_i - x̂_i)] exp(-λ c_i (μ_i - x̂_i)) ≤ 1,

so that the product over all values so far is a non-negative supermartingale, a capital that nobody can expect to
increase. And it holds the unknown means by Σ c_i μ_i alone, which is θ / max w: what differs between problems is no
noise to it, only what is left after the prediction. Capital in the hypothesis θ = m that exceeds 1/α at any time has
a chance of at most α if that is true (Ville 1939). Several λ share the capital at the start, as nobody knows the best
one; those > 0 gain where θ > m, those < 0 where θ < m.

This is betting (Waudby-Smith and Ramdas, JRSS B 2024), in an exponential form that adds over strata as the
empirical-Bernstein bounds of Howard et al. (Annals of Statistics 2021) do, and is nowhere wider than those.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LARGEST_BET = 0.9
"""λ of values in [0, 1]; at 1 a single answer could take all."""
BEST_AT = (1, 4, 16, 64)
"""Rounds at which a bet is the best one, the more the smaller; up to half or twice the best does nearly as well."""
BEST = 8.0
"""√(2 log(1/capital lost) / variance) of an answer, for about 1/90 and 0.14: what the best λ is when Σ c² t = 1."""
PRIOR_ROUNDS = 1.0
"""What the mean over problems weighs in a prediction: right where half of the variance lies between problems."""
STEPS = 50
"""Bisections: an end of an interval is exact to 2^-50 of the range."""


@dataclass(frozen=True)
class ConfidenceSequence:
    """The capital of every bet after every round, from which tests and intervals follow."""

    bets: Array
    """λ > 0."""
    above: Array
    """rounds × bets: log capital of λ in the hypothesis θ = `low`; in θ = m it is less by λ t Σ c (m - low)."""
    below: Array
    """The same of -λ."""
    mass: float
    """Σ c_i: the number of problems where all weigh the same."""
    low: float
    high: float

    def log_capital(self, mean: float | Array) -> tuple[Array, Array]:
        """Log capital after each round of the bets that θ is above, and that it is below `mean`."""
        scaled = (np.asarray(mean, float) - self.low) / (self.high - self.low)
        spent = np.outer(np.arange(1, len(self.above) + 1) * self.mass * scaled, self.bets)
        return log_mean_exp(self.above - spent), log_mean_exp(self.below + spent)

    def limits(self, error: float) -> tuple[Array, Array]:
        """After each round the lower and the upper limit; that θ ever is outside has a chance of `error` at most.

        A limit once reached holds for good, so that intervals only narrow. (Were they ever to cross, which has that
        chance too, the lower one would be above the upper one.)
        """
        threshold, rounds = log(2 / error), len(self.above)
        lower = bisect(lambda mean: self.log_capital(mean)[0] < threshold, self.low, self.high, rounds)
        upper = bisect(lambda mean: self.log_capital(mean)[1] >= threshold, self.low, self.high, rounds)
        return np.maximum.accumulate(lower), np.minimum.accumulate(upper)


def confidence_sequence(
    values: Array, weights: Array, low: float, high: float, guess: float | None = None
) -> ConfidenceSequence:
    """Bet on `values` of shape rounds × problems, all between `low` and `high`; weights of problems add up to 1.

    `guess` is what the first round is predicted to be, such as the number that a paper states; else the middle.
    """
    shares = weights / weights.max()
    bets = bets_of(weights)
    scaled = (values - low) / (high - low)
    first = 0.5 if guess is None else float(np.clip((guess - low) / (high - low), 0, 1))
    predicted = predictions(scaled, weights, first)
    surprise = shares * (scaled - predicted)
    expected = (shares * predicted).sum(axis=1)

    def capital(bet: float) -> Array:
        gains: Array = np.log1p(bet * surprise).sum(axis=1) + bet * expected
        return gains.cumsum()

    above, below = (np.stack([capital(sign * bet) for bet in bets], axis=1) for sign in (1, -1))
    return ConfidenceSequence(bets, above, below, float(shares.sum()), low, high)


def bets_of(weights: Array) -> Array:
    """The λ among which the capital is shared: by the number of problems, as large sets tell small differences."""
    size = float(np.square(weights / weights.max()).sum())
    return np.minimum(LARGEST_BET, BEST / np.sqrt(size * np.array(BEST_AT)))


def predictions(scaled: Array, weights: Array, first: float) -> Array:
    """A value for each of the next round, from the rounds before: a problem's mean, drawn to the mean of all."""
    rounds = np.arange(len(scaled))[:, None]
    before = np.vstack([np.zeros(scaled.shape[1]), scaled.cumsum(axis=0)[:-1]])
    of_all = np.where(rounds > 0, (before @ weights)[:, None] / np.maximum(rounds, 1), first)
    predicted: Array = (PRIOR_ROUNDS * of_all + before) / (PRIOR_ROUNDS + rounds)
    return predicted


def log_mean_exp(exponents: Array) -> Array:
    """Over the last axis."""
    largest = exponents.max(axis=-1, keepdims=True)
    mean: Array = np.log(np.exp(exponents - largest).mean(axis=-1)) + largest[..., 0]
    return mean


def bisect(beyond: Callable[[Array], NDArray[np.bool_]], low: float, high: float, size: int) -> Array:
    """For each of `size` the point from which on `beyond(points)` is true, between `low` and `high`."""
    left, right = np.full(size, low), np.full(size, high)
    for _ in range(STEPS):
        middle = (left + right) / 2
        found = beyond(middle)
        left, right = np.where(found, left, middle), np.where(found, middle, right)
    return (left + right) / 2
