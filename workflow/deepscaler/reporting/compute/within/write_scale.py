"""A choice as a file of config/scales/, ready to run."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from deepscaler import dag, settings
from deepscaler.cost.planned import TOTAL, planned_gpu_hours
from deepscaler.errors import UserError
from deepscaler.files import writing
from deepscaler.reporting.compute.within.choices import Choice
from deepscaler.reporting.compute.within.machine import Machine
from deepscaler.reporting.compute.within.schedule import Schedule
from deepscaler.settings.base import ALLOWED, NAME_PATTERN
from deepscaler.settings.yaml_files import file_of
from deepscaler.training.watch.budget import how_to_approve, to_approve

WIDTH = 120
NAME = re.compile(NAME_PATTERN)
FEWEST_CPUS = 4
"""Of a job that trains."""


def write_scale(name: str, choice: Choice, machine: Machine) -> list[str]:
    """Write config/scales/{name}.yaml, and a recipe of its name where the steps are fewer; lines on what is next.

    Raises:
        UserError: the name is none, or is taken.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a scale", "--write", ALLOWED[NAME_PATTERN])
    shortened = choice.schedule is not None and choice.schedule.steps != choice.schedule.whole
    paths = {"scales": as_scale(name, choice, machine), **({"recipes": as_recipe(choice)} if shortened else {})}
    for folder in paths:
        if file_of(folder, name).exists():
            raise UserError("there is such a file, and it is left as it is", file_of(folder, name), "choose a name")
    for folder, values in reversed(paths.items()):
        with writing(file_of(folder, name)) as aside:
            aside.write_text("".join(written(values, choice, machine)), encoding="utf-8")
    return [
        f"Written: {', '.join(f'config/{folder}/{name}.yaml' for folder in paths)}. Next:",
        f"  .venv/bin/deepscaler plan --scale {name}",
        f"  .venv/bin/{how_to_approve(name, to_approve(planned_gpu_hours(name)[TOTAL, ''].expected)).strip('`')}",
        f"  .venv-gpu/bin/snakemake --profile profiles/workstation {name}",
    ]


def written(values: dict[str, Any], choice: Choice, machine: Machine) -> Iterator[str]:
    hours = f"{choice.gpu_hours.expected:,.0f} GPU-hours expected"
    yield f"# Written by `deepscaler plan` for {machine.gpus} × {machine.card.title}: {hours}.\n"
    yield yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=WIDTH, default_flow_style=None)


def as_scale(name: str, choice: Choice, machine: Machine) -> dict[str, Any]:
    """What differs from the scale that it extends."""
    return {
        "extends": choice.scale,
        "description": f"{choice.title} on {choice.gpus} × {machine.card.title}",
        **(with_schedule(name, choice.schedule) if choice.schedule else {}),
        "budget": {"card": machine.card_name, "dollars_per_gpu_hour": machine.dollars_per_gpu_hour},
        "claims": [one.claim.id for one in choice.decides],
    }


def with_schedule(name: str, schedule: Schedule) -> dict[str, Any]:
    assert schedule.scale.training is not None
    shortened = schedule.steps != schedule.whole
    training = schedule.scale.training
    layout: dict[str, Any] = {
        stage: training.layout[stage].model_dump(exclude={"gpu_memory_utilisation", "zero_stage"})
        if stage in schedule.steps
        else None
        for stage in training.layout
    }
    changes: dict[str, Any] = {
        "training": {**({"recipe": name} if shortened else {}), "layout": layout},
        "resources": {"train_segment": share_of_node(schedule)},
    }
    if shortened:
        changes["evaluation"] = {
            "systems": schedule.systems,
            "suites": {"table": [schedule.test], "beyond": None, "curve": None},
            "shards": {"table": 1, "beyond": None, "curve": None},
            "curve_every": 0,
        }
    return changes


def share_of_node(schedule: Schedule) -> dict[str, int]:
    """Of the memory and cores of a node that the scale asks for, the part of the GPUs that it has there."""
    written, need = settings.load_scale(schedule.scale.name).training, dag.needs(schedule.scale.name, "train_segment")
    assert written is not None
    assert schedule.scale.training is not None
    before = max(layout.gpus_per_node for layout in written.layout.values())
    after = max(schedule.scale.training.layout[stage].gpus_per_node for stage in schedule.steps)
    share = min(1.0, after / before)
    return {
        "mem_mb": round((need.mem_mb or 0) * share),
        "cpus": max(FEWEST_CPUS, round((need.cpus or 1) * share)),
    }


def as_recipe(choice: Choice) -> dict[str, Any]:
    """The recipe with the steps that fit."""
    assert choice.schedule is not None
    assert choice.schedule.scale.training is not None
    recipe = settings.load_recipe(choice.schedule.scale.training.recipe)
    stages = [
        stage.model_copy(update={"steps": choice.schedule.steps[stage.name]}).model_dump(exclude_none=True)
        for stage in recipe.stages
        if stage.name in choice.schedule.steps
    ]
    return {"extends": recipe.name, "description": f"{recipe.description}, cut short", "stages": stages}
