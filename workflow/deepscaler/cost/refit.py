"""The model refitted to the logged timings of a run, so that the remaining steps are priced from the finished ones."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import fmean, median
from typing import Any

from deepscaler.cost.assumptions import Stack
from deepscaler.cost.generation import generation
from deepscaler.cost.hardware import Card, Shape
from deepscaler.cost.lengths import Lengths
from deepscaler.cost.step import Work, sampling_stack, trainer_seconds, training_seconds
from deepscaler.cost.workload import Case, Stacks
from deepscaler.errors import UserError

LENGTH, TRUNCATED = "rollout/response_length_mean", "rollout/truncated_rate"
GENERATION, EXPERIENCE, UPDATE = "timing/generation", "timing/make_experience", "timing/ppo_train"
SYNC, STEP = "timing/broadcast", "timing/step_total"
NEEDED = (LENGTH, GENERATION, EXPERIENCE, UPDATE, SYNC, STEP)
FEWEST_STEPS = 5
"""Below it a stage is not refitted: the first steps of a job are slow, and lengths vary."""
FASTEST_HOST = 0.5e-3
REMAINING_DOUBT = 0.10
"""Of the slack, either way, once a run has been measured [assumed]."""

Row = dict[str, Any]


@dataclass(frozen=True)
class MeasuredStage:
    """What a stage has done so far."""

    stage: str
    steps: int
    hours: float
    """Of its steps; starts and lost steps are not in the metrics."""
    step_seconds: float
    lengths: Lengths


@dataclass(frozen=True)
class Refit:
    case: Case
    stages: tuple[MeasuredStage, ...]
    fitted_on: str
    """The stage whose timings the stack was fitted to: the newest with enough steps."""


def refit(case: Case, rows: Iterable[Row], shape: Shape, card: Card) -> Refit:
    """A case with a stack fitted to metrics rows, and with their lengths in the stages that have been measured.

    Raises UserError where no stage of the scale has enough steps with timings.
    """
    by_stage = timed_steps(rows)
    works = {work.name: work for work in case.stages}
    enough = {name: list(steps.values()) for name, steps in by_stage.items() if len(steps) >= FEWEST_STEPS}
    known = [name for name in works if name in enough]
    if not known:
        raise UserError(
            f"no stage of scale {case.scale!r} has {FEWEST_STEPS} steps with timings",
            "--from-run",
            f"give metrics.jsonl of a run of one of: {', '.join(works)}",
        )
    measured = tuple(measured_stage(works[name], enough[name]) for name in known)
    lengths = {entry.stage: entry.lengths for entry in measured}
    stages = tuple(replace(work, lengths=lengths.get(work.name, work.lengths)) for work in case.stages)
    newest = known[-1]
    work = next(work for work in stages if work.name == newest)
    stack = fit_stack(work, enough[newest], shape, card, case.stacks.expected)
    stacks = Stacks(
        replace(stack, slack=stack.slack * (1 - REMAINING_DOUBT)),
        stack,
        replace(stack, slack=stack.slack * (1 + REMAINING_DOUBT)),
    )
    return Refit(replace(case, stages=stages, stacks=stacks), measured, newest)


def timed_steps(rows: Iterable[Row]) -> dict[str, dict[int, Row]]:
    """Stage → step → its row, of those that have all timings."""
    by_stage: dict[str, dict[int, Row]] = {}
    for row in rows:
        if all(isinstance(row.get(key), int | float) for key in NEEDED):
            by_stage.setdefault(str(row.get("stage")), {})[int(row["step"])] = row
    return by_stage


def refit_stages(
    rehearsed: Case, whole: Case, rows: Iterable[Row], shape: Shape, card: Card, save: float | None, start: float | None
) -> Case:
    """The case of a whole run with a stack as a rehearsal of it measured: what costs a step, not how long answers are.

    A stack is fitted to each stage's steps, with the lengths that they had; the expected one is their mean, and the
    range goes from the best to the worst of each constant, and as far from the mean at least as any refit is in doubt.
    `save` and `start` are seconds. Raises UserError where no step has timings.
    """
    by_stage, works = timed_steps(rows), {work.name: work for work in rehearsed.stages}
    stacks = []
    for name, steps in by_stage.items():
        if name in works:
            measured = measured_stage(works[name], list(steps.values()))
            work = replace(works[name], lengths=measured.lengths)
            stacks.append(fit_stack(work, list(steps.values()), shape, card, whole.stacks.expected))
    if not stacks:
        raise UserError(f"no step of scale {rehearsed.scale!r} has timings")
    prior = whole.stacks.expected

    def one(
        choose: Callable[[Iterable[float]], float], least: Callable[[Iterable[float]], float], doubt: float
    ) -> Stack:
        return replace(
            prior,
            host_seconds=choose(stack.host_seconds for stack in stacks),
            flop_utilisation=least(stack.flop_utilisation for stack in stacks),
            fixed_seconds=choose(stack.fixed_seconds for stack in stacks),
            sleeps=False,
            slack=choose([*(stack.slack for stack in stacks)]) * doubt,
            save_seconds=prior.save_seconds if save is None else save,
            start_seconds=prior.start_seconds if start is None else start,
            meeting_seconds=prior.meeting_seconds if start is None else 0.0,
        )

    best, worst = 1 - REMAINING_DOUBT, 1 + REMAINING_DOUBT
    return replace(whole, stacks=Stacks(one(min, max, best), one(fmean, fmean, 1.0), one(max, min, worst)))


def measured_stage(work: Work, rows: list[Row]) -> MeasuredStage:
    seconds = [float(row[STEP]) for row in rows]
    mean = fmean(float(row[LENGTH]) for row in rows)
    clipped = fmean(float(row.get(TRUNCATED) or 0.0) for row in rows)
    context = work.lengths.context
    clipped = min(max(clipped, 1e-3), 0.95 * mean / context)  # a log-normal needs a share on either side
    lengths = Lengths(context, min(mean, 0.99 * context), clipped)
    return MeasuredStage(work.name, len(rows), sum(seconds) / 3600, fmean(seconds), lengths)


def fit_stack(work: Work, rows: list[Row], shape: Shape, card: Card, prior: Stack) -> Stack:
    """The prior with its host time, FLOP utilisation, fixed part and slack replaced by what the rows show.

    Sleep and wake are in the rows' own times. So is what the trainer's process does for a step's tokens, which is
    taken off as it was measured, since more FLOP/s would not shorten it.
    """
    generated = fmean(float(row[GENERATION]) for row in rows)
    trained = fmean(float(row[EXPERIENCE]) + float(row[UPDATE]) for row in rows)
    computed = max(trained - trainer_seconds(work, prior), trained / 2, 1e-9)
    modelled = sum(training_seconds(work, work.gpus, shape, card, prior))
    return replace(
        prior,
        host_seconds=fit_host(work, generated, shape, card, prior),
        flop_utilisation=prior.flop_utilisation * modelled / computed,
        fixed_seconds=fmean(float(row[SYNC]) for row in rows),
        sleeps=False,
        slack=wall_over_steps(rows),
    )


def fit_host(work: Work, seconds: float, shape: Shape, card: Card, prior: Stack) -> float:
    """Host time of a decode step that gives the measured rollouts; their time is linear in it."""

    def at(host: float) -> float:
        stack = sampling_stack(work, replace(prior, host_seconds=host))
        return generation(work.lengths, work.prompts, work.samples, work.gpus, shape, card, stack).seconds

    zero, ten = at(0.0), at(10e-3)
    return max(FASTEST_HOST, 10e-3 * (seconds - zero) / (ten - zero))


def wall_over_steps(rows: list[Row]) -> float:
    """Time from one row to the next over what the step itself counted: saving, data, evaluation. At least 1."""
    times = [datetime.fromisoformat(row["time"]).timestamp() for row in rows if isinstance(row.get("time"), str)]
    if len(times) != len(rows):
        return 1.0
    ratios = [
        (after - before) / float(row[STEP])
        for before, after, row in zip(times, times[1:], rows[1:], strict=False)
        if after > before and float(row[STEP]) > 0
    ]
    return max(1.0, median(ratios)) if ratios else 1.0
