"""Claims that rule something out, decided one at a time by as many samples as each needs: `deepscaler verify`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deepscaler import settings
from deepscaler.cost.assumptions import Stack
from deepscaler.cost.evaluation import sampling_hours
from deepscaler.cost.ranges import Range, over, total
from deepscaler.cost.workload import Sampling, case_of, sampling_of
from deepscaler.errors import UserError
from deepscaler.reporting.claims.chances import chances
from deepscaler.reporting.compute.within.decides import Decision
from deepscaler.reporting.compute.within.machine import Machine
from deepscaler.reporting.verdicts.outlook import outlook
from deepscaler.settings.claims import claims, holds_at


@dataclass(frozen=True)
class Verification:
    """Of one claim, where the paper's statement of it is true."""

    scale: str
    decision: Decision
    samplings: tuple[Sampling, ...]
    """What is expected to be drawn."""
    gpu_hours: Range


def verifications(scales: list[str], machine: Machine) -> list[Verification]:
    """A claim once, at the scale where it takes least; the cheapest first."""
    cheapest: dict[str, Verification] = {}
    for found in (one for scale in scales for one in of_scale(scale, machine)):
        name = found.decision.claim.id
        if name not in cheapest or found.gpu_hours.expected < cheapest[name].gpu_hours.expected:
            cheapest[name] = found
    return sorted(cheapest.values(), key=lambda one: one.gpu_hours.expected)


def of_scale(scale: str, machine: Machine) -> Iterator[Verification]:
    file, case = settings.claims.claims(), case_of(scale)
    for claim in claims().claims:
        if claim.kind != "measured" or claim.rules_out is None or not holds_at(claim, scale):
            continue
        try:
            expected = outlook(file, claim, scale)
        except UserError:  # sampling does not decide it
            continue
        if expected is None or expected.honest is None or not expected.systems:
            continue
        rounds = max(1, round(expected.honest.rounds))
        drawn = tuple(sampling_of(scale, system, expected.benchmarks, rounds) for system in expected.systems)
        hours = total(over(case.stacks.all, hours_of(work, machine)) for work in drawn)
        yield Verification(scale, Decision(claim, chances(file, claim), expected.power), drawn, hours)


def hours_of(work: Sampling, machine: Machine) -> Callable[[Stack], float]:
    return lambda stack: sampling_hours(work, machine.card, stack) * work.gpus
