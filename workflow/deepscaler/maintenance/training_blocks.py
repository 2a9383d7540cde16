"""The block of docs/training.md: what rollouts and their replay take at the paper's scale, by the plan's model."""

from collections.abc import Callable

from deepscaler.cost.disk import rollout_disk
from deepscaler.cost.estimate import estimate
from deepscaler.cost.workload import case_of
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


TRAINING_BLOCKS: dict[str, Callable[[], str]] = {"replay-cost": replay_cost}
