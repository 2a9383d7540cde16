"""Which claims a choice can decide, and how surely."""

from collections.abc import Iterator
from dataclasses import dataclass

from deepscaler import settings
from deepscaler.reporting.claims.chances import Chances, chances
from deepscaler.settings.claims import (
    Claim,
    ComputeValue,
    CurveValue,
    Measure,
    Significance,
    StepCount,
    TableCell,
    TokenCell,
    TrainingValue,
    Value,
    holds_at,
)
from deepscaler.settings.models import Reported, Trained

AVERAGE = "average"
"""The column of the tables that needs all benchmarks."""


@dataclass(frozen=True)
class Reach:
    """What a choice measures of a scale."""

    scale: str
    systems: frozenset[str]
    columns: frozenset[str]
    stages: frozenset[str]
    """Trained to their ends."""
    curve: bool
    """Whether checkpoints within a stage are evaluated."""
    own_layout: bool
    """Whether it runs on the scale's own GPUs: its hours are no claim's otherwise."""

    def covers(self, measure: Measure) -> bool:
        """Whether all that a measure, and what it is compared with, reads will be there."""
        return all(self.has(part) for part in parts(measure))

    def has(self, measure: Measure) -> bool:
        match measure:
            case TableCell() | Significance():
                both = (measure.system, *([measure.against] if measure.against else []))
                return measure.column in self.columns and all(map(self.has_system, both))
            case TokenCell():
                return measure.column in self.columns and self.has_system(measure.system)
            case TrainingValue():
                return measure.stage in self.stages
            case CurveValue():
                return self.curve and (measure.stage is None or measure.stage in self.stages)
            case StepCount():
                return measure.stage is None or measure.stage in self.stages
            case ComputeValue():
                return self.own_layout
            case _:
                return True

    def has_system(self, name: str) -> bool:
        entry = settings.systems()[name]
        if isinstance(entry, Trained):
            return name in self.systems and entry.stage in self.stages
        return isinstance(entry, Reported) or name in self.systems


def parts(measure: Measure) -> Iterator[Measure]:
    """A measure and those that it is compared with."""
    yield measure
    if isinstance(measure, Value):
        for other in (measure.minus, measure.over):
            if other is not None:
                yield from parts(other)


@dataclass(frozen=True)
class Decision:
    """A claim that comes out decided."""

    claim: Claim
    chances: Chances
    by_verifying: float | None = None
    """The power where it is sampled until it is decided; None where it is not."""

    @property
    def power(self) -> float | None:
        """Chance of the right verdict, the lower of two: where the claim is true, and where its null is.

        Where it has no null, a model five points worse stands for it. None where an error is not known.
        """
        if self.by_verifying is not None:
            return self.by_verifying
        wrongly_met = self.chances.worse_met if self.chances.null_met is None else self.chances.null_met
        if self.chances.honest_fails is None or wrongly_met is None:
            return None
        return 1 - max(self.chances.honest_fails, wrongly_met)


def decisions(reach: Reach) -> tuple[Decision, ...]:
    """The claims of a scale that count as measurements and that the choice measures; the surest first."""
    file = settings.claims.claims()
    found = [
        Decision(claim, chances(file, claim))
        for claim in file.claims
        if claim.kind == "measured" and holds_at(claim, reach.scale) and reach.covers(claim.measure)
    ]
    return tuple(sorted(found, key=lambda one: -(one.power or 0)))
