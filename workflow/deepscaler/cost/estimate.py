"""The price of a scale on GPUs: stages, evaluations, memory, disk, and what would not fit."""

import math
from dataclasses import dataclass

from deepscaler import dag, settings
from deepscaler.cost.disk import Disk, rollout_disk, sample_disk, training_disk
from deepscaler.cost.evaluation import sampling_hours
from deepscaler.cost.hardware import Card, Shape, card, shape_of
from deepscaler.cost.memory import (
    Memory,
    cache_sequences,
    largest_sequence,
    node_memory,
    rollout_memory,
    training_memory,
)
from deepscaler.cost.ranges import NOTHING, Range, over, total
from deepscaler.cost.saving import Saving, saving_of
from deepscaler.cost.step import Step, Work, stage_hours, step_time
from deepscaler.cost.workload import Case, Sampling, adapters_of, training_shape
from deepscaler.settings.models import Published
from deepscaler.settings.scale import Scale

WALL_SHARE = 0.8
"""Of a job's wall time that a segment may take at worst: a step is a range too, and a job that is cut repeats some."""


@dataclass(frozen=True)
class StagePrice:
    work: Work
    step: Step
    """Of the expected case."""
    hours: Range
    """Wall."""
    memory: Memory
    memory_verdict: str
    node_memory: float
    """Bytes of a node's own memory."""
    saving: Saving

    @property
    def step_seconds(self) -> float:
        return self.step.total

    @property
    def gpu_hours(self) -> Range:
        return self.hours.times(self.work.gpus)


@dataclass(frozen=True)
class SamplingPrice:
    work: Sampling
    hours: Range
    """Wall hours of one of its jobs."""

    @property
    def gpu_hours(self) -> Range:
        return self.hours.times(self.work.jobs * self.work.gpus)


@dataclass(frozen=True)
class Price:
    """All of it."""

    case: Case
    stages: tuple[StagePrice, ...]
    samplings: tuple[SamplingPrice, ...]
    disk: Disk
    warnings: tuple[str, ...]

    @property
    def training(self) -> Range:
        """GPU-hours."""
        return total(stage.gpu_hours for stage in self.stages)

    @property
    def evaluation(self) -> Range:
        """GPU-hours."""
        return total(sampling.gpu_hours for sampling in self.samplings)

    @property
    def gpu_hours(self) -> Range:
        return self.training.plus(self.evaluation)

    @property
    def wall_hours(self) -> Range:
        """The stages one after another, then the longest evaluation; without queues."""
        last = max((sampling.hours for sampling in self.samplings), key=lambda hours: hours.expected, default=NOTHING)
        return total(stage.hours for stage in self.stages).plus(last)


def estimate(case: Case) -> Price:
    scale = settings.load_scale(case.scale)
    shape, hardware = training_shape(scale), card(case.card)
    stages = tuple(price_stage(work, case, scale, shape, hardware) for work in case.stages)
    samplings = tuple(price_sampling(work, case, hardware) for work in case.evaluations)
    disk = disk_of(case, scale, shape)
    return Price(case, stages, samplings, disk, tuple(warnings_of(stages, scale, shape, hardware)))


def price_stage(work: Work, case: Case, scale: Scale, shape: Shape, hardware: Card) -> StagePrice:
    assert scale.training is not None
    layout = scale.training.layout[work.name]
    memory = stage_memory(scale, work, layout.max_tokens_per_gpu)
    step = step_time(work, shape, hardware, case.stacks.expected)
    nodes = math.ceil(work.gpus / layout.gpus_per_node)
    return StagePrice(
        work=work,
        step=step,
        hours=over(
            case.stacks.all,
            lambda stack: stage_hours(work, step_time(work, shape, hardware, stack), stack),
        ),
        memory=memory,
        memory_verdict=memory.verdict(hardware),
        node_memory=node_memory(layout.gpus_per_node, work.gpus, shape, work.adapters),
        saving=saving_of(work, step, nodes, layout.segment_steps, shape, case.stacks.expected),
    )


def stage_memory(scale: Scale, work: Work, tokens: int) -> Memory:
    """Of a GPU that trains a stage, at a micro-batch of `tokens`."""
    assert scale.training is not None
    layout = scale.training.layout[work.name]
    return training_memory(
        tokens,
        work.trainers,
        layout.zero_stage,
        settings.load_recipe(scale.training.recipe).rollout.temperature,
        training_shape(scale),
        trained=work.adapters,
        offload=work.offload,
        reference=work.reference,
    )


def price_sampling(work: Sampling, case: Case, hardware: Card) -> SamplingPrice:
    return SamplingPrice(work, over(case.stacks.all, lambda stack: sampling_hours(work, hardware, stack)))


def warnings_of(stages: tuple[StagePrice, ...], scale: Scale, shape: Shape, hardware: Card) -> list[str]:
    """What would not fit, a line each."""
    found: list[str] = []
    if scale.training is None:
        return found
    longest_prompt = settings.load_recipe(scale.training.recipe).rollout.max_prompt_tokens
    for stage in stages:
        layout, name = scale.training.layout[stage.work.name], stage.work.name
        room = hardware.memory / 1e9
        if stage.memory_verdict != "fits":
            outlook = "will not fit" if stage.memory_verdict == "too much" else "may not fit"
            found.append(
                f"stage {name}: a micro-batch of {layout.max_tokens_per_gpu:,} tokens needs "
                f"{stage.memory.total / 1e9:.0f} of {room:.0f} GB and {outlook}; "
                f"lower training.layout.{name}.max_tokens_per_gpu"
            )
        need = largest_sequence(stage.work.lengths.context, longest_prompt)
        if layout.max_tokens_per_gpu < need:
            peak = stage_memory(scale, stage.work, need)
            found.append(
                f"stage {name}: its longest sequence, {need:,} tokens, is more than a micro-batch of "
                f"{layout.max_tokens_per_gpu:,}; it is trained alone then, at {peak.total / 1e9:.0f} of {room:.0f} GB"
            )
        share = layout.gpu_memory_utilisation
        sampling = rollout_memory(stage.work.gpus, layout.zero_stage, share, stage.work.reference, shape, hardware)
        if sampling > hardware.memory:
            found.append(
                f"stage {name}: vLLM's share and the models beside it take {sampling / 1e9:.0f} of {room:.0f} GB; "
                f"lower training.layout.{name}.gpu_memory_utilisation"
            )
        asked = (dag.needs(scale.name, "train_segment").mem_mb or 0) * 1e6
        if stage.node_memory > asked:
            found.append(
                f"stage {name}: a node needs {stage.node_memory / 1e9:.0f} GB of its own memory and is asked for "
                f"{asked / 1e9:.0f}; raise resources.train_segment.mem_mb"
            )
        held = cache_sequences(need, layout.gpu_memory_utilisation, shape, hardware)
        if held < 1:
            found.append(f"stage {name}: the engine's cache holds not one sequence of {need:,} tokens")
        limit = (dag.needs(scale.name, "train_segment").minutes or 0) / 60
        steps = min(layout.segment_steps, stage.work.steps)
        longest = stage.hours.high * steps / stage.work.steps
        if longest > WALL_SHARE * limit:
            found.append(
                f"stage {name}: at worst {steps} steps take {longest:.1f} hours, more than {WALL_SHARE:.0%} of the "
                f"{limit:.0f} of a job; lower training.layout.{name}.segment_steps"
            )
    return found


def disk_of(case: Case, scale: Scale, shape: Shape) -> Disk:
    keep = scale.training.keep_states if scale.training else 0
    checkpoints, states = training_disk(
        sum(work.jobs for work in case.stages), len(case.stages), keep, shape, adapters_of(case.scale)
    )
    published = {name: settings.systems()[name] for name in dag.fetched(scale.name)}
    models = sum(shape_of(entry.parameters).bytes for entry in published.values() if isinstance(entry, Published))
    tokens = sum(work.samples * work.lengths.mean for work in case.evaluations)
    rollouts = rollout_disk(case.stages) if scale.training and scale.training.keep_rollouts else 0.0
    return Disk(models, checkpoints, states, rollouts, sample_disk(tokens))
