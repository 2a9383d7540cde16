"""Completions against what was asked of the engine, and grades against the completions, which are graded again."""

import importlib.util
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from deepscaler import records, settings
from deepscaler.errors import UserError
from deepscaler.evaluation.grade_samples import complete, graded, origin
from deepscaler.evaluation.requests import Protocol, protocol_of, read_problems, seed_of
from deepscaler.evaluation.sample import identity
from deepscaler.files import digest_of, parse_json, sha256
from deepscaler.models.templates import VOCABULARIES, load_tokenizer, prompt_token_ids
from deepscaler.models.try_tokenizer import tried_template
from deepscaler.reporting.file_names import manifest_name, path_of
from deepscaler.reward.pool import GradingPool
from deepscaler.settings.models import Prompting
from deepscaler.training.run.checkpoint import model_files

Row = dict[str, Any]
ASIDE = ("killed", "refused")
"""How the reason of a verdict begins that may differ with the machine's speed and the grader's bounds."""


@dataclass
class Regrading:
    """Which completions are graded again, and how many have been."""

    share: float
    threads: int
    seed: int
    graded: int = 0
    of: int = 0
    without_tokenizer: list[str] = field(default_factory=list)
    """Systems whose prompts could not be made again."""
    tried: set[str] = field(default_factory=set)
    """Digests of tokenizers that come to an end, with what they are asked."""

    def draw(self, rows: list[Row]) -> list[Row]:
        """A random share of the completions, in their order; another one at every verification."""
        count = len(rows) if self.share >= 1 else max(1, round(self.share * len(rows)))
        chosen = sorted(random.Random(self.seed).sample(range(len(rows)), count))
        self.graded, self.of = self.graded + count, self.of + len(rows)
        return [rows[index] for index in chosen]


@dataclass(frozen=True)
class Sampled:
    """The files of one system on one suite."""

    scale: str
    system: str
    suite: str
    place: Callable[[str], Path] = path_of
    """Where a named file lies."""

    @property
    def shards(self) -> list[str]:
        count = settings.load_scale(self.scale).evaluation.shards[self.suite]
        folder = f"work/{self.scale}/samples/{self.system}"
        return [f"{folder}/{self.suite}-{shard}of{count}.parquet" for shard in range(1, count + 1)]

    @property
    def benchmarks(self) -> list[str]:
        names = settings.load_scale(self.scale).evaluation.suites[self.suite]
        return [f"work/{self.scale}/benchmarks/{name}.parquet" for name in names]

    @property
    def grades(self) -> str:
        return f"work/{self.scale}/grades/{self.system}/{self.suite}.parquet"

    @cached_property
    def protocol(self) -> Protocol:
        return protocol_of(self.scale, self.system)

    @cached_property
    def problems(self) -> dict[str, Row]:
        return {row["id"]: row for row in read_problems(map(self.place, self.benchmarks))}

    @cached_property
    def completions(self) -> list[Row]:
        return complete([self.place(name) for name in self.shards], self.problems, self.protocol.samples)

    def verify(self, regrading: Regrading) -> Iterator[str]:
        """What differs, one line each."""
        if unreadable := list(self.unreadable()):
            yield from unreadable
        else:
            yield from self.metadata_differs()
            yield from self.prompts_differ(regrading)
            yield from self.grades_differ(regrading)

    def as_asked(self) -> Iterator[str]:
        """What differs between the samples and what was asked for, as far as that is known without a tokenizer."""
        if unreadable := list(self.unreadable()):
            yield from unreadable
        else:
            yield from self.metadata_differs()
            yield from self.requests_differ({})

    def unreadable(self) -> Iterator[str]:
        """Files that are gone, or not the whole of the samples."""
        gone = [name for name in (*self.shards, *self.benchmarks, self.grades) if not self.place(name).is_file()]
        yield from (f"{name}: is gone" for name in gone)
        if not gone:
            try:
                _ = self.completions
            except UserError as error:
                yield f"{self.shards[0]}: {error.what}"

    def metadata_differs(self) -> Iterator[str]:
        """What samples and grades say of their model and settings, against the manifest and the settings."""
        try:
            said = origin([self.place(name) for name in self.shards])
        except UserError as error:
            yield f"{self.shards[0]}: {error.what}"
            return
        manifest = manifest_name(self.scale, self.system)
        if self.place(manifest).is_file():
            expected = identity(self.place(manifest))
            if (found := parse_json(said.get("model", "null"), self.shards[0])) != expected:
                sha = str(found.get("sha256"))[:12] if isinstance(found, dict) else found
                yield f"{self.shards[0]}: sampled from the weights {sha}, {manifest} has {expected['sha256'][:12]}"
        if parse_json(said.get("protocol", "null"), self.shards[0]) != self.protocol.as_dict():
            yield f"{self.shards[0]}: sampled under other settings than those of scale {self.scale!r}"
        graded_as = records.metadata(self.place(self.grades))
        if any(graded_as.get(key) != value for key, value in said.items()):
            yield f"{self.grades}: its model or settings are not those of its samples"
        if graded_as.get("think") != self.protocol.prompting.think:
            yield f"{self.grades}: graded under another think rule"

    def prompts_differ(self, regrading: Regrading) -> Iterator[str]:
        """Completions that no request can have given, with the prompts made again where there is the tokenizer."""
        try:
            prompts = self.prompt_lengths(regrading)
        except UserError as error:
            yield f"{manifest_name(self.scale, self.system)}: {error.what}"
            return
        if not prompts:
            regrading.without_tokenizer.append(self.system)
        yield from self.requests_differ(prompts)

    def requests_differ(self, prompts: dict[str, int]) -> Iterator[str]:
        """Completions of which seed, length or end is not what was asked for; `prompts`: tokens by problem."""
        protocol = self.protocol
        for row in self.completions:
            identifier = row["problem_id"]
            limit = min(protocol.max_new_tokens, protocol.context - row["prompt_tokens"])
            what = {
                "system": (row["system"], self.system),
                "benchmark": (row["benchmark"], self.problems[identifier]["benchmark"]),
                "seed": (row["seed"], seed_of(protocol.seed, identifier, row["sample"])),
                "prompt_tokens": (row["prompt_tokens"], prompts.get(identifier, row["prompt_tokens"])),
                "tokens": (row["tokens"], min(row["tokens"], limit)),
                "finish_reason": (
                    row["finish_reason"],
                    row["finish_reason"] if row["tokens"] == limit or row["finish_reason"] == "stop" else "stop",
                ),
            }
            for key, (found, expected) in what.items():
                if found != expected:
                    yield f"{self.shards[0]}, {identifier} sample {row['sample']}: {key} {found}, asked for {expected}"

    def prompt_lengths(self, regrading: Regrading) -> dict[str, int]:
        """Tokens of each problem's prompt; empty where the model's tokenizer is not at hand.

        It was handed over with the samples: UserError where it can't be used, or does not come to an end.
        """
        folder = self.place(manifest_name(self.scale, self.system)).parent
        if not importlib.util.find_spec("transformers") or not any((folder / name).is_file() for name in VOCABULARIES):
            return {}
        try_once(folder, self.protocol.prompting, regrading.tried)
        tokenizer = load_tokenizer(folder)
        return {
            name: len(prompt_token_ids(tokenizer, row["problem"], self.protocol.prompting))
            for name, row in self.problems.items()
        }

    def grades_differ(self, regrading: Regrading) -> Iterator[str]:
        """Grades that are missing, or that the completions do not give when graded again."""
        stored = {key_of(row): row for row in records.read(self.place(self.grades), records.GRADE).to_pylist()}
        expected = [key_of(row) for row in self.completions]
        if missing := [key for key in expected if key not in stored]:
            yield f"{self.grades}: {len(missing)} rows missing, first {missing[0][0]} sample {missing[0][1]}"
        if len(stored) > len(expected) - len(missing):
            yield f"{self.grades}: rows of which there is no sample"
        limits = settings.load_scale(self.scale).evaluation.grading
        chosen = [row for row in regrading.draw(self.completions) if key_of(row) in stored]
        with GradingPool(regrading.threads, limits.seconds, limits.memory_mb) as pool:
            for again in graded(pool, chosen, self.problems, self.protocol.prompting.think):
                yield from self.grade_differs(stored[key_of(again)], again)

    def grade_differs(self, stored: Row, again: Row) -> Iterator[str]:
        where = f"{self.grades}, {again['problem_id']} sample {again['sample']}"
        for column in records.GRADE.names:
            if stored[column] != again[column] and not excused(column, stored, again):
                yield f"{where}: {column} {short(stored[column])}, graded again {short(again[column])}"


def try_once(folder: Path, prompting: Prompting, tried: set[str]) -> None:
    """Try a tokenizer that was handed over, unless its equal is among those `tried`; UserError if it can't be used."""
    files = sorted(path for path in model_files(folder) if path.suffix != ".safetensors")
    digest = digest_of([prompting.model_dump(), {path.name: sha256(path) for path in files}])
    if digest not in tried:
        tried_template(folder, prompting)
        tried.add(digest)


def key_of(row: Row) -> tuple[str, int]:
    return row["problem_id"], row["sample"]


def excused(column: str, stored: Row, again: Row) -> bool:
    """Whether only the words differ in which two verdicts say that grading was stopped."""
    return column.endswith("_reason") and any(str(row[column]).startswith(ASIDE) for row in (stored, again))


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
