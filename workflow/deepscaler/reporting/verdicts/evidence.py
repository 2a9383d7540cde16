"""What the answers so far say of a claim: its verdict, and the interval that its value is in."""

from dataclasses import dataclass
from functools import cached_property
from math import inf, isinf, log, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deepscaler.evaluation.confidence_sequence import Array, ConfidenceSequence, confidence_sequence
from deepscaler.evaluation.sequential_design import Design
from deepscaler.reporting.verdicts.quantity import Quantity, bounds
from deepscaler.settings.claims import Claim

Rounds = NDArray[np.bool_]
Verdict = Literal["met", "outside", "not decided"]
DOUBLINGS, STEPS = 40, 40
"""Of the search for an interval's ends."""


@dataclass(frozen=True)
class Evidence:
    """Rounds of answers to the problems of a claim; a quotient N / D is held against m by the mean of N - m D."""

    claim: Claim
    quantity: Quantity
    numerator: Array
    """rounds × problems."""
    denominator: Array | None
    """The same, of a quotient."""
    weights: Array
    """Of the problems; they add up to 1."""
    error: float
    """The chance of a wrong verdict."""

    @property
    def rounds(self) -> int:
        return len(self.numerator)

    @property
    def estimate(self) -> float:
        above = float((self.numerator @ self.weights).mean())
        if self.denominator is None:
            return above
        below = float((self.denominator @ self.weights).mean())
        return above / below if below else inf

    @cached_property
    def of_mean(self) -> ConfidenceSequence:
        """Of a value that is no quotient."""
        low, high = self.quantity.range_of(self.quantity.terms)
        constant = self.quantity.constant
        return confidence_sequence(self.numerator, self.weights, low + constant, high + constant, self.claim.expected)

    def log_capital(self, value: float) -> tuple[Array, Array]:
        """After each round, of the bets that the claim's value is above, and that it is below `value`."""
        if self.denominator is None:
            return self.of_mean.log_capital(value)
        low, high = self.quantity.range_of(self.quantity.terms)
        least, most = self.quantity.range_of(self.quantity.divisors)
        rest = self.numerator - value * self.denominator
        return confidence_sequence(rest, self.weights, low - value * most, high - value * least, 0.0).log_capital(0.0)

    def excluded(self, value: float) -> tuple[Rounds, Rounds]:
        """By which rounds all values up to `value` are excluded, and all from `value` on; for good."""
        above, below = (np.maximum.accumulate(capital) >= log(2 / self.error) for capital in self.log_capital(value))
        return above, below

    def verdict(self) -> tuple[Verdict, int]:
        """The verdict and the round that it fell in; not decided, the rounds there are."""
        never, always = np.zeros(self.rounds, bool), np.ones(self.rounds, bool)
        low, high = bounds(self.claim)
        above_low, below_low = (always, never) if isinf(low) else self.excluded(low)
        above_high, below_high = (never, always) if isinf(high) else self.excluded(high)
        met, outside = above_low & below_high, below_low | above_high
        decided = np.flatnonzero(met | outside)
        if not len(decided):
            return "not decided", self.rounds
        return ("met" if met[decided[0]] else "outside"), int(decided[0]) + 1

    def interval(self) -> tuple[float, float]:
        """The values that no bet excludes; a quotient's has no upper end while its divisor may be 0."""
        if self.denominator is None:
            lower, upper = self.of_mean.limits(self.error)
            return float(lower[-1]), float(upper[-1])
        value = max(self.estimate, 0.0) if np.isfinite(self.estimate) else self.claim.expected
        return self.end(0.0, value, 0), self.upper_end(value)

    def upper_end(self, value: float) -> float:
        far = max(2 * value, 1.0)
        for _ in range(DOUBLINGS):
            if self.excluded(far)[1][-1]:
                return self.end(value, far, 1)
            far *= 2
        return inf

    def end(self, low: float, high: float, side: Literal[0, 1]) -> float:
        """Where values begin not to be excluded from below (side 0), or to be from above (side 1)."""
        for _ in range(STEPS):
            middle = (low + high) / 2
            if bool(self.excluded(middle)[side][-1]) == (side == 0):
                low = middle
            else:
                high = middle
        return low if side == 0 else high

    def design(self) -> Design:
        """How far further rounds would go, by what the answers so far vary."""
        scale, values = 1.0, self.numerator
        low, high = self.quantity.range_of(self.quantity.terms)
        if self.denominator is not None:
            scale = float((self.denominator @ self.weights).mean()) or 1.0
            values = (self.numerator - self.estimate * self.denominator) / scale
            least, most = self.quantity.range_of(self.quantity.divisors)
            low, high = (low - self.estimate * most) / scale, (high - self.estimate * least) / scale
        within = values.var(axis=0, ddof=1) if self.rounds > 1 else np.full(values.shape[1], (high - low) ** 2 / 8)
        error = sqrt(float(np.square(self.weights) @ within))
        return Design(tuple(self.weights), error, high - low, *bounds(self.claim), self.error)
