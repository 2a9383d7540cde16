"""`deepscaler plan --gpus 1 --card a100 --hours 48`: the choices, as text and as data."""

import json
from typing import Any

from deepscaler.errors import UserError
from deepscaler.reporting.compute.plan_text import span, table
from deepscaler.reporting.compute.within.choices import SURE, Choice, choices
from deepscaler.reporting.compute.within.decides import Decision
from deepscaler.reporting.compute.within.machine import Machine
from deepscaler.reporting.compute.within.write_scale import write_scale

Json = dict[str, Any]
NAMED = 4
"""Claims that are named in a line; the others are counted."""


def within(machine: Machine, *, write: str | None, row: int | None, as_json: bool) -> str:
    """The table of choices, best first; `write` names the scale file to write, of `row` or of the first."""
    found = choices(machine)
    if row is not None and write is None:
        raise UserError("--row says which choice --write writes", "--row")
    if row is not None and not 1 <= row <= len(found):
        raise UserError(f"there is no row {row}", "--row", f"1 to {len(found)}")
    written = [] if write is None else write_scale(write, chosen(found, row), machine)
    if as_json:
        return json.dumps({**as_data(machine, found), "written": written}, indent=2, ensure_ascii=False)
    return "\n".join([*as_lines(machine, found), *(["", *written] if written else [])])


def chosen(found: list[Choice], row: int | None) -> Choice:
    """The choice of a row, or the first that can be written as a scale."""
    choice = found[row - 1] if row else next(one for one in found if one.is_scale)
    if not choice.is_scale:
        raise UserError(f"`deepscaler {choice.title}` is a command, no scale", "--row", "type it as it stands")
    if choice.lacks:
        raise UserError(f"{choice.title} does not fit: {', '.join(choice.lacks)}", "--write")
    return choice


def as_lines(machine: Machine, found: list[Choice]) -> list[str]:
    rows = [["", "what", "GPUs", "hours", "(low–high)", "$", "GB", "decides", "fits"]]
    rows += [row_of(number, choice, machine) for number, choice in enumerate(found, 1)]
    lines = [in_words(machine), "", *table(rows, text_columns=2), ""]
    lines += [f"{number}: {remarks(choice)}" for number, choice in enumerate(found, 1) if remarks(choice)]
    return [
        *lines,
        "",
        f"`decides`: claims that come out right with a chance of {SURE:.0%} at least, whether they are true or their "
        "null is. Estimates:",
        "nothing of this has run on a GPU (docs/plan.md). `hours` are wall time; evaluations use all GPUs at once.",
    ]


def in_words(machine: Machine) -> str:
    number = f"{machine.gpus} × {machine.card.title}, {machine.card.memory / 1e9:.0f} GB"
    limits = [f"{machine.hours:g} hours"] if machine.hours_are_limited else []
    limits += [f"${machine.dollars:,.0f}"] if machine.dollars_are_limited else []
    return f"{number}: within {' and '.join(limits)}, at ${machine.dollars_per_gpu_hour:g} a GPU-hour"


def row_of(number: int, choice: Choice, machine: Machine) -> list[str]:
    rate = machine.dollars_per_gpu_hour
    return [
        str(number),
        choice.title,
        str(choice.gpus),
        f"{choice.wall_hours.expected:,.1f}",
        span(choice.wall_hours.rounded(1)),
        f"{choice.gpu_hours.expected * rate:,.0f}",
        f"{choice.memory / 1e9:.0f}",
        f"{choice.sure}",
        choice.verdict,
    ]


def remarks(choice: Choice) -> str:
    """What a choice lacks, and the claims that it decides."""
    lacks = [f"lacks {', '.join(choice.lacks)}"] if choice.lacks else []
    tight = [f"may need {', '.join(choice.tight)}"] if choice.tight else []
    return "; ".join([*lacks, *tight, *([f"decides {claims_line(choice.decides)}"] if choice.sure else [])])


def claims_line(decided: tuple[Decision, ...]) -> str:
    sure = [one for one in decided if (one.power or 0) >= SURE]
    named = [f"{one.claim.id} {percent(one.power or 0)}" for one in sure[:NAMED]]
    more = [f"{len(sure) - NAMED} more"] if len(sure) > NAMED else []
    return ", ".join([*named, *more])


def as_data(machine: Machine, found: list[Choice]) -> Json:
    rate = machine.dollars_per_gpu_hour
    return {
        "gpus": machine.gpus,
        "card": machine.card.title,
        "memory_gb": round(machine.card.memory / 1e9, 1),
        "hours": machine.hours if machine.hours_are_limited else None,
        "dollars": machine.dollars if machine.dollars_are_limited else None,
        "dollars_per_gpu_hour": rate,
        "choices": [
            {
                "what": choice.title,
                "scale": choice.scale,
                "gpus": choice.gpus,
                "gpu_hours": choice.gpu_hours.rounded(1),
                "wall_hours": choice.wall_hours.rounded(1),
                "dollars": choice.gpu_hours.times(rate).rounded(0),
                "memory_gb": round(choice.memory / 1e9, 1),
                "steps": choice.schedule.steps if choice.schedule else {},
                "fits": choice.verdict,
                "lacks": [*choice.lacks, *choice.tight],
                "claims": [
                    {"id": one.claim.id, "power": None if one.power is None else round(one.power, 3)}
                    for one in choice.decides
                ],
            }
            for choice in found
        ],
    }


def percent(share: float) -> str:
    return "> 99 %" if share > 0.99 else f"{share:.0%}".replace("%", " %")
