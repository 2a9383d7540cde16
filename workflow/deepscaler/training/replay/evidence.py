"""What was kept of a step, held against what decides it: seeds, prompts, the grader's verdicts, dynamic filtering.

Every difference is a line that names file, row and field, with what was kept and what follows.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from deepscaler.reward.openrlhf import accepted, response_of
from deepscaler.reward.pool import GradingPool
from deepscaler.reward.verdicts import ResponseVerdict, ThinkRule
from deepscaler.settings.recipe import Recipe
from deepscaler.text import printable
from deepscaler.training.openrlhf.measured_share import is_measured
from deepscaler.training.openrlhf.rollouts import seed_of
from deepscaler.training.replay.policy import Sequence
from deepscaler.training.replay.steps import Numbers, Sample, mean

Row = dict[str, Any]
"""Of records.ROLLOUT."""
STOPPED = "killed"
"""How the reason of a verdict begins that was stopped by the clock; it may be another one today."""
SHOWN = 60
"""Characters of a text in a difference."""
SAMPLER_APART = 2.0
"""Nats by which sampler and trainer may differ at a token, whose kernels differ; on the miniature it is 0.42 at the
most."""


@dataclass(frozen=True)
class Grader:
    """Grades texts again, as training did."""

    tokenizer: Any
    pool: GradingPool
    recipe: Recipe
    think: ThinkRule

    def verdicts(self, rows: list[Row]) -> list[ResponseVerdict]:
        mode = self.recipe.reward.mode
        texts = self.tokenizer.batch_decode([row["prompt_tokens"] + row["tokens"] for row in rows])
        responses = [response_of(text, row["prompt_text"])[0] for text, row in zip(texts, rows, strict=True)]
        asked = [
            (accepted(row["label"]), response, mode, self.think) for row, response in zip(rows, responses, strict=True)
        ]
        return list(self.pool.grade_responses(asked))


@dataclass(frozen=True)
class Kept:
    """The rollouts of one step."""

    name: str
    """Of their file, in messages."""
    rows: list[Row]

    def groups(self) -> Iterator[tuple[int, list[Row]]]:
        """The samples of each prompt, in the order of sending."""
        for prompt, rows in groupby(self.rows, key=lambda row: int(row["prompt"])):
            yield prompt, list(rows)

    @property
    def sent(self) -> int:
        """Prompts, dropped ones too."""
        return sum(1 for _ in self.groups())

    def trained(self) -> list[Row]:
        return [row for row in self.rows if row["trained"]]

    def samples(self) -> list[Sample]:
        """What is trained on."""
        return [
            Sample(
                Sequence(row["prompt_tokens"] + row["tokens"], len(row["prompt_tokens"])),
                row["reward"],
                row["truncated"],
                row["log_probs"],
            )
            for row in self.trained()
        ]

    def line(self, number: int, field: str, kept: Any, follows: Any) -> str:
        return f"{self.name}, row {number}, {field}: {brief(kept)} was kept, {brief(follows)} follows"

    def shape_differs(self, recipe: Recipe, samples: int) -> Iterator[str]:
        """Whether there are as many samples, in order, as a step has. What is yielded ends the comparison."""
        wanted = recipe.rollout.prompts_per_step * samples
        if len(self.trained()) != wanted:
            yield f"{self.name}: {len(self.trained())} samples are trained on, a step has {wanted}"
        order = [(row["prompt"], row["sample"]) for row in self.rows]
        if order != [(prompt, sample) for prompt in range(len(order) // samples) for sample in range(samples)]:
            yield f"{self.name}: the samples are not {samples} of each prompt, in order"
        for number, row in enumerate(self.rows):
            measured = is_measured(row["prompt"], recipe.rollout.log_probs_every)
            given = None if row["log_probs"] is None else len(row["log_probs"])
            if not row["tokens"] or given != (len(row["tokens"]) if measured else None):
                yield f"{self.name}, row {number}: the log-probabilities are not those of its tokens"

    def seeds_differ(self, seed: int, total_step: int) -> Iterator[str]:
        for number, row in enumerate(self.rows):
            if row["seed"] != (follows := seed_of(seed, total_step, row["prompt"]) + row["sample"]):
                yield self.line(number, "seed", row["seed"], follows)

    def prompts_differ(self, tokenizer: Any, scheduled: list[Row]) -> Iterator[str]:
        """Against the lines of the prompt file that were this step's turn."""
        for line, (prompt, rows) in zip(scheduled, self.groups(), strict=True):
            text = tokenizer.apply_chat_template(line["input"], tokenize=False, add_generation_prompt=True)
            tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
            number = prompt * len(rows)
            for row in rows:
                cut = tokens[-len(row["prompt_tokens"]) :]  # a long prompt loses its head
                for key, follows in (("prompt_text", text), ("label", line["label"]), ("prompt_tokens", cut)):
                    if row[key] != follows:
                        yield self.line(number, key, row[key], follows)
                number += 1

    def verdicts_differ(self, verdicts: list[ResponseVerdict]) -> Iterator[str]:
        for number, (row, verdict) in enumerate(zip(self.rows, verdicts, strict=True)):
            if row["reason"] is None or STOPPED in (row["reason"][: len(STOPPED)], verdict.reason[: len(STOPPED)]):
                continue
            if row["reward"] != float(verdict.correct):
                yield self.line(number, "reward", row["reward"], f"{float(verdict.correct)} ({verdict.reason})")
            elif row["reason"] != verdict.reason:
                yield self.line(number, "reason", row["reason"], verdict.reason)

    def filtering_differs(self, recipe: Recipe) -> Iterator[str]:
        own, number = recipe.filtering, 0
        for _, rows in self.groups():
            average = mean([row["reward"] for row in rows])
            follows = not own.enabled or own.low < average < own.high
            for row in rows:
                if row["trained"] != follows:
                    yield self.line(number, "trained", row["trained"], f"{follows} (mean reward {average:g})")
                number += 1

    def sampling_differs(self, apart: list[float]) -> Iterator[str]:
        """Tokens that the policy would not have drawn with the probability that was kept."""
        numbers = [number for number, row in enumerate(self.rows) if row["trained"]]
        for number, distance in zip(numbers, apart, strict=True):
            if distance > SAMPLER_APART:
                yield (
                    f"{self.name}, row {number}, tokens: the sampler's log-probability of one is {distance:.2f} nats "
                    f"from the policy's, more than {SAMPLER_APART:g}"
                )

    def logged(self, verdicts: list[ResponseVerdict], recipe: Recipe, context: int) -> Numbers:
        """What is logged of the grader and the filter."""
        pairs = [pair for pair in zip(self.rows, verdicts, strict=True) if pair[0]["trained"]]
        lengths = [len(row["prompt_tokens"]) + len(row["tokens"]) for row, _ in pairs]
        found = {"response_clip_ratio": mean([float(length >= context) for length in lengths])}
        if all(row["reason"] is not None and not row["reason"].startswith(STOPPED) for row, _ in pairs):
            found["well_formed"] = mean([float(verdict.well_formed) for _, verdict in pairs])
        if recipe.filtering.enabled:
            found["dynamic_filtering_pass_rate"] = len(pairs) / self.sent * 100  # samples over prompts, as upstream
        return found


def brief(value: Any) -> str:
    text = printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
