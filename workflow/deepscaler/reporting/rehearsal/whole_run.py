"""The whole run that is rehearsed, priced by what the rehearsal measured: hours, wall time of its jobs, disk."""

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from deepscaler import dag, settings
from deepscaler.cost.disk import rollout_disk
from deepscaler.cost.estimate import Price, estimate
from deepscaler.cost.hardware import card
from deepscaler.cost.planned import TOTAL, of_processors, planned_gpu_hours
from deepscaler.cost.processor import ProcessorPrice, estimate_processor, refitted
from deepscaler.cost.ranges import Range, over
from deepscaler.cost.refit import refit_stages
from deepscaler.cost.step import start_seconds, step_time
from deepscaler.cost.workload import case_of, stages_of, training_shape
from deepscaler.errors import UserError
from deepscaler.reporting.compute.ledger_input import from_benchmarks
from deepscaler.reporting.rehearsal.evidence import Evidence
from deepscaler.reporting.rehearsal.finding import WHOLE_RUN, Finding, figure, missing
from deepscaler.text import amount
from deepscaler.training.readiness.node import disk_wanted, existing, folder_bytes
from deepscaler.training.watch.budget import how_to_approve, to_approve
from deepscaler.training.watch.measured import SAVE, START

Json = dict[str, Any]


@dataclass(frozen=True)
class WholeRun:
    """What the rehearsed scale takes, by the rehearsal's measurements."""

    hours: Range
    """GPU-hours."""
    planned: Range
    """The same before the rehearsal."""
    dollars: Range
    segments: dict[str, Range]
    """Stage → wall seconds of one of its segments."""
    starts: dict[str, float]
    """Stage → of them the start's, expected."""

    def as_json(self) -> Json:
        return {
            "gpu_hours": self.hours.rounded(1),
            "planned_gpu_hours": self.planned.rounded(1),
            "dollars": self.dollars.rounded(0),
            "segment_seconds": {stage: asdict(seconds) for stage, seconds in self.segments.items()},
        }


def whole_run(run: Evidence) -> WholeRun | None:
    """None where nothing was measured that a price could be fitted to."""
    of = run.rehearsal.of
    rate = settings.load_scale(of).budget.dollars_per_gpu_hour
    if run.scale.device == "cpu":
        jobs = from_benchmarks(run.scale_name, run.logs)
        if not jobs:
            return None
        own = estimate_processor(of, refitted(run.scale_name, jobs))
        hours = of_processors(own)[TOTAL, ""]
        return WholeRun(hours, planned_gpu_hours(of)[TOTAL, ""], hours.times(rate), *processor_segments(own))
    shape = training_shape(run.scale)
    phases = [phase for stage in run.stages for phase in run.phases(stage)]
    save, start = (
        max((phase.seconds for phase in phases if phase.phase == name), default=None) for name in (SAVE, START)
    )
    rehearsed, whole = case_of(run.scale_name), case_of(of)
    try:
        case = refit_stages(rehearsed, whole, run.rows, shape, card(rehearsed.card), save, start)
    except UserError:
        return None
    price = estimate(case)
    return WholeRun(
        price.gpu_hours, planned_gpu_hours(of)[TOTAL, ""], price.gpu_hours.times(rate), *gpu_segments(price)
    )


def processor_segments(price: ProcessorPrice) -> tuple[dict[str, Range], dict[str, float]]:
    stages = [entry for entry in price.rules if entry.rule == "train_segment"]
    return {entry.stage: entry.seconds.times(1 / entry.jobs) for entry in stages}, {}


def gpu_segments(price: Price) -> tuple[dict[str, Range], dict[str, float]]:
    scale, shape, hardware = settings.load_scale(price.case.scale), *shape_and_card(price)
    assert scale.training is not None
    found = {}
    for stage in price.stages:
        steps, work = scale.training.layout[stage.work.name].segment_steps, stage.work
        found[work.name] = over(
            price.case.stacks.all,
            lambda stack, work=work, steps=steps: (
                steps * step_time(work, shape, hardware, stack).total  # type: ignore[misc]
                + start_seconds(work, stack)
            ),
        )
    expected = price.case.stacks.expected
    return found, {stage.work.name: start_seconds(stage.work, expected) for stage in price.stages}


def shape_and_card(price: Price) -> tuple[Any, Any]:
    return training_shape(settings.load_scale(price.case.scale)), card(price.case.card)


def judged(run: Evidence, whole: WholeRun | None) -> Iterator[Finding]:
    """Does the whole run fit: into the budget, its jobs into their wall time, its files onto the disk?"""
    of = run.rehearsal.of
    if whole is None:
        yield missing("price", of)
    else:
        yield price(of, whole)
        yield from wall_times(run, whole)
    yield disk(run)


def price(of: str, whole: WholeRun) -> Finding:
    """Against what was approved; before that, against the upper end of the plan. CPU cores need no approval."""
    on_cpu = settings.load_scale(of).device == "cpu"
    approved = 0.0 if on_cpu else settings.approved_gpu_hours(of)
    bound = approved or whole.planned.high
    seen = f"{amount(whole.hours.expected)} GPU-hours ({amount(whole.hours.low)} to {amount(whole.hours.high)})"
    seen += f", ${amount(whole.dollars.expected)}" if whole.dollars.expected else ""
    planned = f"{amount(whole.planned.expected)} ({amount(whole.planned.low)} to {amount(whole.planned.high)})"
    if on_cpu:
        return Finding("price", WHOLE_RUN, seen, True, "", planned)
    words = "approved" if approved else "the plan's upper end"
    go = whole.hours.expected <= bound
    hours = to_approve(whole.hours.expected)
    advice = f"fewer GPUs for the later stages (docs/plan.md, the cheap layout), or {how_to_approve(of, hours)}"
    return Finding("price", WHOLE_RUN, seen, go, f"≤ {amount(bound)} {words}", planned, "" if go else advice)


def wall_times(run: Evidence, whole: WholeRun) -> Iterator[Finding]:
    of, share = run.rehearsal.of, run.rehearsal.bounds.wall_time_share
    limit = 60.0 * (dag.needs(of, "train_segment").minutes or 0)
    for stage, seconds in whole.segments.items():
        steps = dag.layout(of, stage).segment_steps
        go, start = seconds.high <= share * limit, whole.starts.get(stage, 0.0)
        fewer = max(1, int(steps * (share * limit - start) / max(seconds.high - start, 1e-9)))
        yield Finding(
            f"wall time of a segment, {stage}",
            WHOLE_RUN,
            f"{figure(seconds.expected / 60)} min ({figure(seconds.low / 60)} to {figure(seconds.high / 60)})",
            go,
            f"≤ {figure(share * limit / 60)} min",
            "",
            "" if go else f"training.layout.{stage}.segment_steps: {fewer} in config/scales/{of}.yaml, now {steps}",
        )


def disk(run: Evidence) -> Finding:
    of, root = run.rehearsal.of, settings.run_root() / settings.site().work
    wanted = disk_wanted(of)
    free = shutil.disk_usage(existing(root)).free + folder_bytes(root / of)
    go, advice = free >= wanted, "`work` in config/site.local.yaml: a larger disk"
    if run.scale.device == "gpu":
        advice += f"; `training.keep_rollouts: false` saves {rollout_disk(stages_of(of)) / 1e9:,.0f} GB"
    return Finding("disk space", WHOLE_RUN, f"{free / 1e9:,.0f} GB free", go, f"≥ {wanted / 1e9:,.0f} GB",
                   f"{wanted / 1e9:,.0f} GB", "" if go else advice)  # fmt: skip
