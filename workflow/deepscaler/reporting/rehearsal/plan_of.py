"""The plan's numbers for a rehearsal's steps, at the lengths that its answers had."""

from dataclasses import dataclass, replace

from deepscaler import settings
from deepscaler.cost.assumptions import OPENRLHF
from deepscaler.cost.estimate import stage_memory
from deepscaler.cost.hardware import card
from deepscaler.cost.processor import estimate_processor
from deepscaler.cost.refit import measured_stage
from deepscaler.cost.step import start_seconds, step_time
from deepscaler.cost.workload import case_of, training_shape
from deepscaler.training.watch.metrics import Row


@dataclass(frozen=True)
class Planned:
    """Seconds of a step and its parts, GB at the peak, seconds of a save and a start; None: the plan has no number."""

    step: float | None
    rollouts: float | None = None
    training: float | None = None
    """Log-probabilities and update, with what the trainer's process does for them."""
    memory_gb: float | None = None
    save: float | None = None
    start: float | None = None


def planned(scale_name: str, stage: str, rows: list[Row]) -> Planned:
    scale = settings.load_scale(scale_name)
    if scale.device == "cpu":
        prices = [entry for entry in estimate_processor(scale_name).rules if entry.stage == stage and entry.steps]
        return Planned(sum(entry.seconds.expected for entry in prices) / max(1, sum(entry.steps for entry in prices)))
    case = case_of(scale_name)
    work = case.stage(stage)
    work = replace(work, lengths=measured_stage(work, rows).lengths)
    step = step_time(work, training_shape(scale), card(case.card), case.stacks.expected)
    assert scale.training is not None
    memory = stage_memory(scale, work, scale.training.layout[stage].max_tokens_per_gpu).total
    return Planned(
        # a save is judged by itself
        step=step.total - OPENRLHF.save_seconds / work.save_steps,
        rollouts=step.generation,
        training=step.log_probabilities + step.update + step.trainer,
        memory_gb=memory / 1e9,
        save=case.stacks.expected.save_seconds,
        start=start_seconds(work, case.stacks.expected),
    )
