"""How well a claim discriminates: by what chance an honest re-run fails it, and what should fail it meets it.

A measured value is taken as normal about a truth. What moves it is the sampling on the same problems and, where our own
training made the system, the training (errors_of_runs.py). Truths: what the paper states, what it states of the system
that the null puts in the measured one's place, and a model five points worse.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import hypot, sqrt
from statistics import NormalDist, mean, stdev

from deepscaler.cost.planned import planned_gpu_hours
from deepscaler.cost.ranges import Range
from deepscaler.reporting.claims.errors_of_runs import RunErrors, stated
from deepscaler.reporting.claims.results import Estimate
from deepscaler.settings import load_scale
from deepscaler.settings.chances import Run
from deepscaler.settings.claims import (
    Claim,
    ClaimFile,
    ComputeValue,
    Constant,
    CurveValue,
    Significance,
    TableCell,
    TrainingValue,
)

MINIATURE = "mini"
"""Of whose trainings several are known."""
WORSE = 5.0
"""Percentage points by which the worse model is worse."""
FEW = 3
"""Known runs from which on their spread is taken; below, the standard error that the run itself has."""
LIMIT = 0.1
"""Of runs: a claim that its null meets more often does not count."""


@dataclass(frozen=True)
class Chances:
    """Shares of runs, 0 to 1; None where a truth or an error is not known, or is no matter of chance."""

    error: float | None = None
    """Standard error of the value from run to run, in the claim's unit."""
    honest_fails: float | None = None
    null_met: float | None = None
    worse_met: float | None = None

    @property
    def discriminates(self) -> bool | None:
        """Whether the claim may count, by its null or, where it has none, by the worse model; None by neither."""
        decisive = self.worse_met if self.null_met is None else self.null_met
        return None if decisive is None else decisive <= LIMIT


def chances(file: ClaimFile, claim: Claim, measured: Estimate | None = None) -> Chances:
    """The chances of a claim; those of the miniature need what a run measured, for its error."""
    if claim.kind not in ("measured", "illustrative"):
        return Chances()
    if scale := miniature_of(claim):
        return of_miniature(file.varies.runs if scale == MINIATURE else [], claim, measured)
    if isinstance(claim.measure, ComputeValue):
        return of_cost(claim, claim.measure)
    return of_paper(file, claim)


def miniature_of(claim: Claim) -> str | None:
    """The scale on CPUs at which a claim is checked, the first of them."""
    return next((scale for scale in claim.scales if load_scale(scale).device == "cpu"), None)


def of_paper(file: ClaimFile, claim: Claim) -> Chances:
    """Of what is measured at the larger scales, by the errors that such runs will have."""
    errors = RunErrors(file)
    spread = errors.of_ours(claim.measure)
    if spread is None:
        return Chances()
    honest, null, worse = truths(claim)
    counted = errors.paired(claim.measure) if claim.errors and isinstance(claim.measure, TableCell) else 0.0

    def met(truth: float | None, width: float) -> float | None:
        return None if truth is None else chance_to_meet(claim, truth, width, counted)

    papers = errors.of_papers(claim.measure) if claim.honest is None else 0.0
    holds = met(honest, hypot(spread, papers))
    return Chances(spread, None if holds is None else 1 - holds, met(null, spread), met(worse, spread))


def of_miniature(runs: list[Run], claim: Claim, measured: Estimate | None) -> Chances:
    """By how far known trainings lie apart; of what no training moves, by the error of the run at hand."""
    known = known_values(runs, claim)
    error = None if measured is None else measured.standard_error
    if len(known) >= FEW:
        truth, spread = mean(known), stdev(known) * sqrt(1 + 1 / len(known))
    elif measured is not None and error is not None:
        truth, spread = measured.value, error
    else:
        return Chances()
    counted = error or 0.0
    null = claim.rules_out.value if claim.rules_out else None
    return Chances(
        spread,
        1 - chance_to_meet(claim, truth, spread, counted),
        None if null is None else chance_to_meet(claim, null, spread, counted),
        chance_to_meet(claim, truth - WORSE, spread, counted) if claim.unit == "points" else None,
    )


def known_values(runs: list[Run], claim: Claim) -> list[float]:
    """What the claim measures in those of the known runs that tell it."""
    cell = claim.measure
    if not isinstance(cell, TableCell) or cell.against is None or cell.column != "average":
        return [run.values[claim.id] for run in runs if claim.id in run.values]
    pairs = [(run.averages.get(cell.system), run.averages.get(cell.against)) for run in runs]
    return [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]


def of_cost(claim: Claim, measure: ComputeValue) -> Chances:
    """By the plan, whose low and high ends are taken to hold nine runs of ten between them."""
    planned = planned_hours(measure)
    if isinstance(measure.over, ComputeValue):
        divisor = planned_hours(measure.over).expected
        if isinstance(measure.over.over, Constant):
            divisor /= measure.over.over.value
        planned = planned.times(1 / divisor)
    spread = (planned.high - planned.low) / (2 * NormalDist().inv_cdf(0.95))
    null = claim.rules_out.value if claim.rules_out else None
    return Chances(
        spread,
        1 - chance_to_meet(claim, planned.expected, spread, 0.0),
        None if null is None else chance_to_meet(claim, null, spread, 0.0),
    )


def planned_hours(measure: ComputeValue) -> Range:
    return planned_gpu_hours("paper")[measure.rule or "total", measure.stage or ("all" if measure.rule else "")]


def truths(claim: Claim) -> tuple[float | None, float | None, float | None]:
    """What an honest re-run, the null, and a model five points worse would give, but for errors."""
    honest = honest_truth(claim)
    return honest, null_truth(claim), worse_truth(claim, honest)


def honest_truth(claim: Claim) -> float | None:
    """What an honest re-run would measure, but for its errors."""
    if claim.honest is not None:
        return claim.honest
    if claim.comparison == "within":
        return claim.expected
    if isinstance(claim.measure, TableCell | Significance):
        return stated(claim.measure)
    return None


def null_truth(claim: Claim) -> float | None:
    if claim.rules_out is None or claim.rules_out.system is None:
        return claim.rules_out.value if claim.rules_out else None
    if isinstance(claim.measure, TableCell | Significance):
        return stated(claim.measure.model_copy(update={"system": claim.rules_out.system}))
    raise ValueError(f"claim {claim.id!r}: another system's place can only be taken in the table")


def worse_truth(claim: Claim, honest: float | None) -> float | None:
    """Of rates: five points from the honest value, to the side where the null is, downwards if there is none."""
    measure, null = claim.measure, null_truth(claim)
    rates = isinstance(measure, TableCell | Significance | CurveValue) and not (measure.minus or measure.over)
    reward = isinstance(measure, TrainingValue) and measure.series == "reward"
    if honest is None or not (rates or reward):
        return None
    step = WORSE / 100 if reward else WORSE
    return honest + step if null is not None and null > honest else honest - step


def chance_to_meet(claim: Claim, truth: float, spread: float, counted: float) -> float:
    """That a value about `truth` meets the claim, whose standard errors are `counted` where it counts in them."""
    if isinstance(claim.measure, Significance):
        return NormalDist().cdf(truth / spread - NormalDist().inv_cdf(1 - claim.expected / 2))
    if isinstance(claim.measure, CurveValue):
        # The higher of two checkpoints, taken as independent: what they share would lower this
        return 1 - NormalDist(truth, spread).cdf(claim.expected - claim.tolerance) ** 2
    below = NormalDist(truth, max(spread, 1e-9)).cdf
    slack = claim.tolerance - claim.errors * counted
    if claim.comparison == "at_least":
        return 1 - below(claim.expected - slack)
    if claim.comparison == "at_most":
        return below(claim.expected + slack)
    return below(claim.expected + slack) - below(claim.expected - slack)


@dataclass(frozen=True)
class Together:
    """Of several claims that count: how many come out wrong by chance alone."""

    claims: int
    honest_outside: float
    """Of an honest re-run, expected to be outside."""
    false_met: float
    """Of claims that are all false (each null true), expected to be met; of those that have a null."""
    with_null: int


def together(found: Iterable[Chances]) -> Together:
    """Sums over claims; the expectation needs no independence."""
    every = list(found)
    nulls = [one.null_met for one in every if one.null_met is not None]
    fails = [one.honest_fails for one in every if one.honest_fails is not None]
    return Together(len(every), sum(fails), sum(nulls), len(nulls))
