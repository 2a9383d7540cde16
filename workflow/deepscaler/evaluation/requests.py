"""What is asked of the engine: every (problem, sample) of a suite with its prompt and seed, and one shard of them.

Everything here is a function of the settings and the benchmark tables, and does not depend on the number of shards.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepscaler import dag, records
from deepscaler.errors import UserError
from deepscaler.files import read_json
from deepscaler.models.templates import prompt_text, prompt_token_ids
from deepscaler.settings import load_scale
from deepscaler.settings.models import Prompting

SEED_BITS = 62
"""vLLM takes a signed 64-bit seed."""


@dataclass(frozen=True)
class Protocol:
    """How a system is sampled: the scale's settings, where the system has none of its own."""

    samples: int
    temperature: float
    top_p: float
    max_new_tokens: int
    context: int
    seed: int
    prompting: Prompting

    def as_dict(self) -> dict[str, Any]:
        """The protocol as JSON-able data, for the record."""
        return {**vars(self), "prompting": self.prompting.model_dump()}


@dataclass(frozen=True)
class Request:
    """One completion to draw."""

    benchmark: str
    problem_id: str
    sample: int
    seed: int
    prompt: tuple[int, ...]
    """Token ids."""

    @property
    def id(self) -> str:
        return f"{self.problem_id}#{self.sample}"


def protocol_of(scale_name: str, system: str) -> Protocol:
    settings, entry = load_scale(scale_name), dag.prompting_entry(scale_name, system)
    evaluation, own = settings.evaluation, entry.sampling
    return Protocol(
        samples=evaluation.samples,
        temperature=evaluation.temperature if own.temperature is None else own.temperature,
        top_p=evaluation.top_p if own.top_p is None else own.top_p,
        max_new_tokens=own.max_new_tokens or evaluation.max_new_tokens,
        context=own.context or evaluation.context,
        seed=settings.seed,
        prompting=entry.prompting,
    )


def read_problems(benchmarks: Iterable[Path]) -> list[dict[str, Any]]:
    """The problems of a suite, benchmark after benchmark."""
    return [row for path in benchmarks for row in records.read(path, records.BENCHMARK_PROBLEM).to_pylist()]


def plan(problems: list[dict[str, Any]], protocol: Protocol, tokenizer: Any) -> list[Request]:
    """Every request of a suite. A prompt that leaves no room for an answer is refused before anything starts."""
    check_think_rule(tokenizer, protocol.prompting)
    requests = []
    for row in problems:
        prompt = tuple(prompt_token_ids(tokenizer, row["problem"], protocol.prompting))
        if len(prompt) >= protocol.context:
            raise UserError(
                f"the prompt of {row['id']} has {len(prompt)} tokens, the context holds {protocol.context}",
                None,
                "raise `context` in the scale's evaluation or in the system's sampling",
            )
        requests += [
            Request(row["benchmark"], row["id"], sample, seed_of(protocol.seed, row["id"], sample), prompt)
            for sample in range(protocol.samples)
        ]
    return requests


def check_think_rule(tokenizer: Any, prompting: Prompting) -> None:
    """Refuse a think rule under which every answer would be wrong, whatever the model says."""
    opened = prompt_text(tokenizer, "?", prompting).rstrip().endswith("<think>")
    if opened and prompting.think != "prefilled":
        raise UserError(
            f"the chat template opens <think>, but the system's think rule is {prompting.think!r}",
            tokenizer.name_or_path,
            "set `prompting: { think: prefilled }` in config/models.yaml",
        )


def check_context(folder: Path, context: int) -> None:
    """Refuse a context beyond the positions that a model was made for."""
    positions = read_json(folder / "config.json").get("max_position_embeddings")
    if positions and context > positions:
        raise UserError(
            f"context {context} is more than the model's {positions} positions",
            folder,
            "set `sampling: { context: … }` for the system in config/models.yaml",
        )


def shard_of(requests: list[Request], shard: int, shards: int) -> list[Request]:
    """Shard `shard` (from 1): every `shards`-th request, so that each has its share of every problem."""
    if not 1 <= shard <= shards:
        raise UserError(f"there is no shard {shard} of {shards}")
    return requests[shard - 1 :: shards]


def seed_of(seed: int, problem_id: str, sample: int) -> int:
    """A request's own seed: it depends on the run's seed, the problem and the sample, never on the shard."""
    digest = hashlib.sha256(f"{seed}/{problem_id}/{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)
