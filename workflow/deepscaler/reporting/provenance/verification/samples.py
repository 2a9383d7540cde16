"""Completions against what was asked of the engine, and grades against the completions, which are graded again."""

import importlib.util
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
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

    def verify(self, regrading: Regrading) -> Iterator[str]:
        """What differs, one line each."""
        names = [*self.shards, *self.benchmarks, self.grades]
        if gone := [name for name in names if not path_of(name).is_file()]:
            yield from (f"{name}: is gone" for name in gone)
            return
        protocol = protocol_of(self.scale, self.system)
        problems = {row["id"]: row for row in read_problems(map(path_of, self.benchmarks))}
        try:
            completions = complete([path_of(name) for name in self.shards], problems, protocol.samples)
        except UserError as error:
            yield f"{self.shards[0]}: {error.what}"
            return
        yield from self.metadata_differs(protocol)
        yield from self.requests_differ(completions, problems, protocol, regrading)
        yield from self.grades_differ(completions, problems, protocol, regrading)

    def metadata_differs(self, protocol: Protocol) -> Iterator[str]:
        """What samples and grades say of their model and settings, against the manifest and the settings."""
        try:
            said = origin([path_of(name) for name in self.shards])
        except UserError as error:
            yield f"{self.shards[0]}: {error.what}"
            return
        manifest = manifest_name(self.scale, self.system)
        if path_of(manifest).is_file():
            expected = identity(path_of(manifest))
            if (found := parse_json(said.get("model", "null"), self.shards[0])) != expected:
                sha = str(found.get("sha256"))[:12] if isinstance(found, dict) else found
                yield f"{self.shards[0]}: sampled from the weights {sha}, {manifest} has {expected['sha256'][:12]}"
        if parse_json(said.get("protocol", "null"), self.shards[0]) != protocol.as_dict():
            yield f"{self.shards[0]}: sampled under other settings than those of scale {self.scale!r}"
        graded_as = records.metadata(path_of(self.grades))
        if any(graded_as.get(key) != value for key, value in said.items()):
            yield f"{self.grades}: its model or settings are not those of its samples"
        if graded_as.get("think") != protocol.prompting.think:
            yield f"{self.grades}: graded under another think rule"

    def requests_differ(
        self, completions: list[Row], problems: dict[str, Row], protocol: Protocol, regrading: Regrading
    ) -> Iterator[str]:
        """Completions that no request of these settings can have given: seeds, prompts, lengths."""
        try:
            prompts = self.prompt_lengths(problems, protocol, regrading)
        except UserError as error:
            yield f"{manifest_name(self.scale, self.system)}: {error.what}"
            return
        if not prompts:
            regrading.without_tokenizer.append(self.system)
        for row in completions:
            identifier = row["problem_id"]
            limit = min(protocol.max_new_tokens, protocol.context - row["prompt_tokens"])
            what = {
                "system": (row["system"], self.system),
                "benchmark": (row["benchmark"], problems[identifier]["benchmark"]),
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

    def prompt_lengths(self, problems: dict[str, Row], protocol: Protocol, regrading: Regrading) -> dict[str, int]:
        """Tokens of each problem's prompt; empty where the model's tokenizer is not at hand.

        It was handed over with the samples: UserError where it can't be used, or does not come to an end.
        """
        folder = path_of(manifest_name(self.scale, self.system)).parent
        if not importlib.util.find_spec("transformers") or not any((folder / name).is_file() for name in VOCABULARIES):
            return {}
        files = sorted(path for path in model_files(folder) if path.suffix != ".safetensors")
        digest = digest_of([protocol.prompting.model_dump(), {path.name: sha256(path) for path in files}])
        if digest not in regrading.tried:
            tried_template(folder, protocol.prompting)
            regrading.tried.add(digest)
        tokenizer = load_tokenizer(folder)
        return {
            name: len(prompt_token_ids(tokenizer, row["problem"], protocol.prompting)) for name, row in problems.items()
        }

    def grades_differ(
        self, completions: list[Row], problems: dict[str, Row], protocol: Protocol, regrading: Regrading
    ) -> Iterator[str]:
        """Grades that are missing, or that the completions do not give when graded again."""
        stored = {key_of(row): row for row in records.read(path_of(self.grades), records.GRADE).to_pylist()}
        expected = [key_of(row) for row in completions]
        if missing := [key for key in expected if key not in stored]:
            yield f"{self.grades}: {len(missing)} rows missing, first {missing[0][0]} sample {missing[0][1]}"
        if len(stored) > len(expected) - len(missing):
            yield f"{self.grades}: rows of which there is no sample"
        limits = settings.load_scale(self.scale).evaluation.grading
        chosen = [row for row in regrading.draw(completions) if key_of(row) in stored]
        with GradingPool(regrading.threads, limits.seconds, limits.memory_mb) as pool:
            for again in graded(pool, chosen, problems, protocol.prompting.think):
                yield from self.grade_differs(stored[key_of(again)], again)

    def grade_differs(self, stored: Row, again: Row) -> Iterator[str]:
        where = f"{self.grades}, {again['problem_id']} sample {again['sample']}"
        for column in records.GRADE.names:
            if stored[column] != again[column] and not excused(column, stored, again):
                yield f"{where}: {column} {short(stored[column])}, graded again {short(again[column])}"


def key_of(row: Row) -> tuple[str, int]:
    return row["problem_id"], row["sample"]


def excused(column: str, stored: Row, again: Row) -> bool:
    """Whether only the words differ in which two verdicts say that grading was stopped."""
    return column.endswith("_reason") and any(str(row[column]).startswith(ASIDE) for row in (stored, again))


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
