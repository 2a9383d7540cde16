"""The chain of a scale's training jobs: segments, their parents and their machines.

Pure functions of the settings, as all of dag/: they start nothing and read no result, so a dry run takes seconds.
"""

from dataclasses import dataclass

from deepscaler.errors import UserError
from deepscaler.settings import load_recipe, load_scale
from deepscaler.settings.recipe import Recipe
from deepscaler.settings.scale import Layout


@dataclass(frozen=True)
class Segment:
    """One training job: steps first+1 … last of a stage."""

    stage: str
    number: int
    """From 1, within the stage."""
    first: int
    last: int
    parent: str | None
    """Id of the checkpoint that it starts from; None for the base model."""
    starts_stage: bool
    total_last: int
    """`last`, counted from the base model over all stages."""

    @property
    def id(self) -> str:
        return f"{self.stage}-{self.number}"


def segments(scale_name: str) -> list[Segment]:
    """The chain of a scale's training jobs, in order."""
    training = load_scale(scale_name).training
    if training is None:
        return []
    chain: list[Segment] = []
    before = 0
    for stage in load_recipe(training.recipe).stages:
        size = training.layout[stage.name].segment_steps
        for number, first in enumerate(range(0, stage.steps, size), start=1):
            last = min(first + size, stage.steps)
            parent = chain[-1].id if chain else None
            chain.append(Segment(stage.name, number, first, last, parent, first == 0, before + last))
        before += stage.steps
    return chain


def segment(scale_name: str, identifier: str) -> Segment:
    for candidate in segments(scale_name):
        if candidate.id == identifier:
            return candidate
    raise UserError(f"scale {scale_name!r} has no segment {identifier!r}")


def last_segment(scale_name: str, stage: str) -> Segment:
    found = [candidate for candidate in segments(scale_name) if candidate.stage == stage]
    if not found:
        raise UserError(f"scale {scale_name!r} does not train a stage {stage!r}")
    return found[-1]


@dataclass(frozen=True)
class Gpus:
    """A stage's GPUs of one node."""

    training: int
    sampling: int
    """The same ones, in turn; others, where rollouts are asynchronous."""


def gpus(scale_name: str, stage: str) -> Gpus:
    training = load_scale(scale_name).training
    if training is None:
        raise UserError(f"scale {scale_name!r} does not train")
    return divided(training.layout[stage], load_recipe(training.recipe))


def divided(layout: Layout, recipe: Recipe) -> Gpus:
    """The GPUs of a node by what they do."""
    if not recipe.rollout.asynchronous.enabled:
        return Gpus(layout.gpus_per_node, layout.gpus_per_node)
    sampling = layout.rollout_gpus or layout.gpus_per_node // 2
    return Gpus(layout.gpus_per_node - sampling, sampling)


def layout(scale_name: str, stage: str) -> Layout:
    training = load_scale(scale_name).training
    if training is None:
        raise UserError(f"scale {scale_name!r} does not train")
    return training.layout[stage]
