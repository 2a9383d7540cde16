"""How long responses are: a log-normal, cut at the context, found from its mean and the share that is cut."""

from dataclasses import dataclass
from functools import cache
from math import exp, log
from statistics import NormalDist
from typing import TYPE_CHECKING

from deepscaler.cost.assumptions import PROMPT_SHARE, PROMPT_TOKENS
from deepscaler.errors import UserError

if TYPE_CHECKING:
    import numpy

NORMAL = NormalDist()


@dataclass(frozen=True)
class Lengths:
    """Response lengths in tokens: min(X, context) with log X normal."""

    context: int
    mean: float
    clipped: float
    """Share of responses that reach the context."""

    def __post_init__(self) -> None:
        if not (0 < self.clipped < 1 and self.context * self.clipped < self.mean < self.context):
            raise UserError(
                f"no distribution of lengths has a mean of {self.mean:.0f} and {self.clipped:.1%} cut at {self.context}"
            )

    @property
    def spread(self) -> float:
        """Standard deviation of the log-length before the cut."""
        return solve_spread(self.context, self.mean, self.clipped)

    @property
    def location(self) -> float:
        return log(self.context) - self.spread * NORMAL.inv_cdf(1 - self.clipped)

    @property
    def second_moment(self) -> float:
        return moment(2, self.context, self.spread, self.clipped)

    @property
    def biased_mean(self) -> float:
        """Length of the sequence (prompt included) in which a random token stands: E[(L+p)²] / E[L+p]."""
        total = self.mean + PROMPT_TOKENS
        return (self.second_moment + 2 * PROMPT_TOKENS * self.mean + PROMPT_TOKENS**2) / total

    def draw(self, rng: "numpy.random.Generator", steps: int, prompts: int, samples: int) -> "numpy.ndarray":
        """Lengths of shape (steps, prompts, samples): hard prompts are long in all their samples."""
        import numpy

        between = rng.standard_normal((steps, prompts, 1))
        within = rng.standard_normal((steps, prompts, samples))
        normal = PROMPT_SHARE**0.5 * between + (1 - PROMPT_SHARE) ** 0.5 * within
        return numpy.minimum(numpy.exp(self.location + self.spread * normal), self.context)


def moment(order: int, context: float, spread: float, clipped: float) -> float:
    """E[min(X, context)^order] of a log-normal X that exceeds the context with probability `clipped`."""
    bound = NORMAL.inv_cdf(1 - clipped)
    location = log(context) - spread * bound
    below = exp(order * location + (order * spread) ** 2 / 2) * NORMAL.cdf(bound - order * spread)
    return below + context**order * clipped


@cache
def solve_spread(context: int, mean: float, clipped: float) -> float:
    """The spread that gives the mean: with the clipped share held, the mean falls as the spread grows."""
    low, high = 1e-3, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        if moment(1, context, middle, clipped) > mean:
            low = middle
        else:
            high = middle
    return low


FROM_BASE = {8192: (3800.0, 0.07), 16384: (9000.0, 0.20), 24576: (11000.0, 0.15)}
"""Context → mean and clipped share over a stage that starts from the base model. 8K: the paper's 5.5K falling to 3.5K,
30 % clipped at first and 4–7 % late. 16K: about 9,000 from the start (the paper); the rest is assumed."""
AFTER_SHORTER = {8192: (3500.0, 0.05), 16384: (4700.0, 0.018), 24576: (6200.0, 0.012)}
"""The same for a stage after a shorter one: 3.5K rising to 5.5K at 16K, 2 % clipped late (the paper); going on at 24K
(assumed)."""
EARLY_8K = Lengths(8192, 5500.0, 0.30)
"""The first steps of the 8K stage: mean 5.5K (the paper), 30 % clipped (assumed)."""


def expected_lengths(context: int, from_base: bool) -> Lengths:
    """Lengths over a stage, between the known contexts by interpolation in the context, above them in proportion.

    Below, the answers of the shortest known one are cut earlier.
    """
    table = FROM_BASE if from_base else AFTER_SHORTER
    known = sorted(table)
    if context < known[0]:
        return cut_at(context, Lengths(known[0], *table[known[0]]))
    if context >= known[-1]:
        mean, clipped = table[known[-1]]
        return Lengths(context, mean * context / known[-1], clipped)
    if context in table:
        return Lengths(context, *table[context])
    above = next(index for index, value in enumerate(known) if value >= context)
    low, high = known[above - 1], known[above]
    share = (context - low) / (high - low)
    mean, clipped = ((1 - share) * a + share * b for a, b in zip(table[low], table[high], strict=True))
    return Lengths(context, mean, clipped)


def cut_at(context: int, whole: Lengths) -> Lengths:
    """The same responses at a shorter context."""
    clipped = 1 - NORMAL.cdf((log(context) - whole.location) / whole.spread)
    return Lengths(context, moment(1, context, whole.spread, clipped), clipped)
