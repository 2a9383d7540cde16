"""A scale's training laid out for a machine: its GPUs, its memory, and the steps that its hours allow."""

from dataclasses import dataclass, replace
from math import ceil

from deepscaler import dag, settings
from deepscaler.cost.estimate import WALL_SHARE, StagePrice, price_stage, training_shape
from deepscaler.cost.lengths import Lengths
from deepscaler.cost.memory import largest_sequence
from deepscaler.cost.ranges import Range, total
from deepscaler.cost.step import Work
from deepscaler.cost.workload import Case, Sampling, answer_length
from deepscaler.reporting.compute.within.machine import NODE, Machine
from deepscaler.settings.models import Trained
from deepscaler.settings.scale import Layout, Scale

FEWEST = 20
"""Steps of a first stage below which nothing would be seen."""
ROUND = 10
"""To which shortened stages are cut."""
EVALUATION_SHARE = 0.1
"""Of the hours, kept for evaluating a shortened schedule."""


@dataclass(frozen=True)
class Schedule:
    """Stages with the layouts and prices that they have on a machine."""

    case: Case
    scale: Scale
    """With these layouts."""
    stages: tuple[StagePrice, ...]
    whole: dict[str, int]
    """Stage → steps that the recipe gives it."""

    @property
    def gpus(self) -> int:
        return max(stage.work.gpus for stage in self.stages)

    @property
    def wall_hours(self) -> Range:
        return total(stage.hours for stage in self.stages)

    @property
    def gpu_hours(self) -> Range:
        return total(stage.gpu_hours for stage in self.stages)

    @property
    def memory(self) -> float:
        """Bytes on the fullest GPU."""
        return max(stage.memory.total for stage in self.stages)

    @property
    def steps(self) -> dict[str, int]:
        return {stage.work.name: stage.work.steps for stage in self.stages}

    @property
    def whole_stages(self) -> list[str]:
        return [name for name, steps in self.steps.items() if steps == self.whole[name]]

    @property
    def test(self) -> str:
        """The test set by which a shortened schedule is judged."""
        return self.scale.evaluation.suites["table"][0]

    @property
    def systems(self) -> list[str]:
        """The base, and what is trained, of the scale's table."""
        entries = settings.systems()
        return [
            name
            for name in self.scale.evaluation.systems
            if name == self.scale.base or (isinstance(entry := entries[name], Trained) and entry.stage in self.steps)
        ]

    @property
    def evaluations(self) -> tuple[Sampling, ...]:
        """Of a shortened schedule: its systems on its test set."""
        return tuple(sampling(self.scale, name, self.test) for name in self.systems)

    def lacks(self, machine: Machine) -> list[str]:
        """A line for the first stage that has no room."""
        for stage in self.stages:
            if stage.memory_verdict == "too much":
                over = stage.memory.total - machine.card.memory
                return [f"{over / 1e9:.0f} GB more a GPU at {stage.work.name}"]
        return []


def sampling(scale: Scale, system: str, test: str) -> Sampling:
    evaluation, entry = scale.evaluation, dag.prompting_entry(scale.name, system)
    samples = settings.benchmarks()[test].size * evaluation.samples
    lengths = Lengths(evaluation.max_new_tokens, *answer_length(scale.name, system, test))
    return Sampling(system, "table", samples, 1, evaluation.tensor_parallel, lengths, entry.parameters)


def laid_out(case: Case, machine: Machine) -> Schedule:
    """The scale's stages on as many of the machine's GPUs as share its batches evenly, micro-batches as they fit."""
    scale = settings.load_scale(case.scale)
    prices = []
    for work in case.stages:
        scale, price = fitted(work, scale, case, machine)
        prices.append(price)
    return Schedule(case, scale, tuple(prices), {work.name: work.steps for work in case.stages})


def fitted(work: Work, scale: Scale, case: Case, machine: Machine) -> tuple[Scale, StagePrice]:
    """A stage on the machine, and the scale with the stage's layout there."""
    assert scale.training is not None
    recipe = settings.load_recipe(scale.training.recipe)
    layout = on_gpus(scale.training.layout[work.name], machine.gpus_for(work.sequences // recipe.updates_per_step))
    price = priced(work, layout, scale, case, machine)
    least = largest_sequence(work.lengths.context, recipe.rollout.max_prompt_tokens)
    if price.memory_verdict != "fits" and layout.max_tokens_per_gpu > least:
        layout = layout.model_copy(update={"max_tokens_per_gpu": least})
        price = priced(work, layout, scale, case, machine)
    minutes = dag.needs(scale.name, "train_segment").minutes or 0
    longest = price.hours.high * 60 / work.steps  # minutes of a step, with its share of starting and saving
    layout = in_time(layout, max(1, int(WALL_SHARE * minutes / longest)))
    return with_layout(scale, work.name, layout), priced(work, layout, scale, case, machine)


def on_gpus(layout: Layout, gpus: int) -> Layout:
    nodes = max(1, gpus // NODE)
    if layout.nodes * layout.gpus_per_node == gpus:
        return layout
    return layout.model_copy(update={"nodes": nodes, "gpus_per_node": gpus // nodes, "rollout_gpus": None})


def in_time(layout: Layout, most: int) -> Layout:
    """Segments of at most so many steps, each a whole number of saves."""
    if layout.segment_steps <= most:
        return layout
    save = min(layout.save_steps, most)
    return layout.model_copy(update={"segment_steps": most - most % save, "save_steps": save})


def with_layout(scale: Scale, stage: str, layout: Layout) -> Scale:
    assert scale.training is not None
    training = scale.training.model_copy(update={"layout": {**scale.training.layout, stage: layout}})
    return scale.model_copy(update={"training": training})


def priced(work: Work, layout: Layout, scale: Scale, case: Case, machine: Machine) -> StagePrice:
    here = replace(
        work,
        gpus=layout.nodes * layout.gpus_per_node,
        nodes=layout.nodes,
        jobs=ceil(work.steps / layout.segment_steps),
        save_steps=layout.save_steps,
        micro_batch=layout.max_tokens_per_gpu,
        rollout_gpus=work.rollout_gpus if layout.nodes * layout.gpus_per_node == work.gpus else None,
    )
    return price_stage(here, case, with_layout(scale, work.name, layout), training_shape(scale), machine.card)


def shortened(schedule: Schedule, machine: Machine) -> Schedule | None:
    """The first steps of a schedule that fit into the machine's hours at the worst estimate, evaluations included.

    None where a stage has no room in memory, or fewer steps fit than show anything.
    """
    kept: list[StagePrice] = []
    hours = machine.hours_with(schedule.gpus) * (1 - EVALUATION_SHARE)
    for stage in schedule.stages:
        steps = min(stage.work.steps, int(hours / (stage.hours.high / stage.work.steps)) // ROUND * ROUND)
        if stage.memory_verdict == "too much" or steps < FEWEST:
            break
        work = replace(stage.work, steps=steps)
        assert schedule.scale.training is not None
        layout = schedule.scale.training.layout[work.name]
        kept.append(priced(work, layout, schedule.scale, schedule.case, machine))
        hours -= kept[-1].hours.high
        if steps < stage.work.steps:
            break
    return replace(schedule, stages=tuple(kept)) if kept else None
