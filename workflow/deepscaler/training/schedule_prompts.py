"""The order of a segment's prompts, written to a file before training: a seeded artifact like any other.

An epoch is a pass over the problems in a seeded order, cut to whole steps as the paper's was (`drop_last`: 40,315
problems give 314 steps of 128). A stage starts a new order; a segment takes its steps' share of the stage's stream.
"""

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from deepscaler import dag, records
from deepscaler.errors import UserError
from deepscaler.files import write_jsonl
from deepscaler.models.templates import chat_messages
from deepscaler.settings import load_recipe, load_scale
from deepscaler.settings.models import Prompting


def schedule_prompts(*, scale_name: str, segment_id: str, problems: Path, output: Path) -> int:
    """Write the prompt file of a segment; returns its number of lines."""
    settings, segment = load_scale(scale_name), dag.segment(scale_name, segment_id)
    assert settings.training is not None
    recipe = load_recipe(settings.training.recipe)
    size = recipe.rollout.prompts_per_step
    table = records.read(problems, records.PROBLEM).to_pylist()
    check(table, size, problems)
    by_id = {row["id"]: row for row in table}
    draws = recipe.filtering.draws
    first, last = (round(step * size * draws) for step in (segment.first, segment.last))
    stream = order(sorted(by_id), f"{settings.seed}/{segment.stage}", size)
    prompting = dag.prompting_entry(scale_name, settings.base or "").prompting
    rows = [prompt(by_id[key], prompting).model_dump() for key in islice(stream, first, last)]
    write_jsonl(output, rows)
    return len(rows)


def order(ids: list[str], seed: str, step_size: int) -> Iterator[str]:
    """Ids for ever, epoch by epoch, each a permutation that depends on the seed, the epoch and the ids alone."""
    whole = len(ids) - len(ids) % step_size
    epoch = 0
    while True:
        yield from sorted(ids, key=lambda key: hashlib.sha256(f"{seed}/{epoch}/{key}".encode()).digest())[:whole]
        epoch += 1


def prompt(row: dict[str, str], prompting: Prompting) -> records.Prompt:
    return records.Prompt(
        id=row["id"],
        input=chat_messages(row["problem"], prompting),
        label=json.dumps([row["answer"]], ensure_ascii=False),
        datasource=row["source"],
    )


def check(table: list[dict[str, str | None]], step_size: int, where: Path) -> None:
    if len(table) < step_size:
        raise UserError(f"{len(table)} problems are fewer than the {step_size} prompts of one step", where)
    for row in table:
        if not row["answer"]:
            raise UserError(f"problem {row['id']} has no answer to grade against", where)
