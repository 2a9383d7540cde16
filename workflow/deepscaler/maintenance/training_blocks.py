"""Blocks about training at the paper's scale, by the plan's model: what replay takes, and when what runs."""

from collections.abc import Callable

from deepscaler import dag
from deepscaler.cost.disk import rollout_disk
from deepscaler.cost.estimate import estimate
from deepscaler.cost.workload import case_of
from deepscaler.reporting.compute.outlook import evaluation_seconds
from deepscaler.text import markdown


def replay_cost() -> str:
    """A row a stage, and their sum: gigabytes, and the GPU-hours of log-probabilities and updates alone."""
    rows, sums = [], [0.0, 0.0]
    for stage in estimate(case_of("paper")).stages:
        work, step = stage.work, stage.step
        gigabytes = rollout_disk((work,)) / 1e9
        hours = work.steps * (step.log_probabilities + step.update) * work.gpus / 3600
        sums = [sums[0] + gigabytes, sums[1] + hours]
        per_step = [f"{1000 * gigabytes / work.steps:.0f}", f"{60 * hours / work.steps:.0f}"]
        rows.append([work.name, f"{work.steps:,}", *per_step, f"{gigabytes:.0f}", f"{hours:.0f}"])
    rows.append(["all", "", "", "", f"{sums[0]:.0f}", f"{sums[1]:.0f}"])
    return markdown(["stage", "steps", "MB a step", "GPU-minutes a step", "GB", "GPU-hours"], rows)


def timetable() -> str:
    """A row a stage, and the end: when its jobs run, as planned, and when its checkpoints' scores come."""
    price = estimate(case_of("paper"))
    curve = max(one.hours.expected for one in price.samplings if one.work.suite == "curve")
    last = evaluation_seconds("paper", dag.segments("paper")[-1]) / 3600
    rows, begun = [], 0.0
    for stage in price.stages:
        work, ended = stage.work, begun + stage.hours.expected
        each = stage.hours.expected / work.jobs
        jobs = f"{work.name}: {work.jobs} jobs of {each:.1f} hours on {work.gpus} GPUs"
        steps = f"{work.steps:,} steps of {stage.step_seconds:.0f} s"
        rows.append([f"{begun:.0f}–{ended:.0f}", f"{jobs}, {steps}", f"a score every {each:.1f} hours"])
        begun = ended
    rows.append([f"{begun:.0f}–{begun + last:.0f}", "the last checkpoint on all test sets", "`results/table.csv`"])
    note = f"\nA checkpoint's score takes one GPU {60 * curve:.0f} minutes, while the next segment trains.\n"
    return markdown(["hours", "what runs", "what comes"], rows) + note


TRAINING_BLOCKS: dict[str, Callable[[], str]] = {"replay-cost": replay_cost, "timetable": timetable}
