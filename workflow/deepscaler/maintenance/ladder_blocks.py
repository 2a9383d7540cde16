"""The ladder of scales: what each is, the machine that it needs, its price as planned, and what it decides."""

import json
from collections.abc import Callable
from typing import Any

from deepscaler import settings
from deepscaler.reporting.compute.plan import plan
from deepscaler.reporting.compute.plan_text import span, wall_time
from deepscaler.settings.claims import claims
from deepscaler.settings.scale import Scale
from deepscaler.text import amount, markdown

Json = dict[str, Any]


def ladder() -> str:
    """Every file of config/scales/, the cheapest first."""
    plans: dict[str, Json] = {
        name: json.loads(plan(scale=name, changes=[], from_run=None, as_json=True)) for name in settings.scale_names()
    }
    names = sorted(plans, key=lambda name: (plans[name]["device"], plans[name]["gpu_hours"]["expected"], name))
    head = ["scale", "what it is", "machine", "GPU-hours", "dollars", "wall time", "claims that it decides", "command"]
    return markdown(head, [row(settings.load_scale(name), plans[name]) for name in names])


def row(scale: Scale, planned: Json) -> list[str]:
    hours, dollars = planned["gpu_hours"], planned["dollars"]
    price = ["none", "$0"]
    if scale.device == "gpu":
        price = [f"{amount(hours['expected'])} ({span(hours)})", f"${amount(dollars['expected'])}"]
    return [
        f"`{scale.name}`",
        scale.description,
        machine(scale, planned),
        *price,
        wall(planned),
        decides(scale.name),
        f"`{command(scale)}`",
    ]


def machine(scale: Scale, planned: Json) -> str:
    """Of a scale that trains, each number of GPUs that a stage holds, in their order."""
    if scale.device == "cpu":
        return claims().effort[scale.name].machine if scale.name in claims().effort else "CPU cores"
    numbers = dict.fromkeys(stage["gpus"] for stage in planned["training"]["stages"])
    return f"{', then '.join(map(str, numbers)) or 1} {planned['card']}"


def wall(planned: Json) -> str:
    """Without queues; sampling alone on one GPU, whose jobs take turns."""
    if planned["device"] == "cpu":
        return f"{60 * planned['elapsed_hours']['expected']:.0f} minutes"
    trains = planned["training"]["stages"]
    return wall_time(planned["wall_hours" if trains else "gpu_hours"]["expected"])


def decides(scale: str) -> str:
    """How many claims of claims.yaml its results decide."""
    count = sum(scale in claim.scales and claim.kind == "measured" for claim in claims().claims)
    return str(count) if count else "–"


def command(scale: Scale) -> str:
    if scale.name in claims().effort:
        return claims().effort[scale.name].command
    if scale.device == "cpu":
        return f".venv/bin/snakemake --profile profiles/laptop {scale.name}"
    nodes = max((layout.nodes for layout in scale.training.layout.values()), default=1) if scale.training else 1
    return f".venv-gpu/bin/snakemake --profile {'slurm' if nodes > 1 else 'profiles/workstation'} {scale.name}"


LADDER_BLOCKS: dict[str, Callable[[], str]] = {"ladder": ladder}
