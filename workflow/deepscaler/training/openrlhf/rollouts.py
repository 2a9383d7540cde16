"""Rollouts that follow from the run's seed alone, patched into OpenRLHF's modules as `hooks` does.

Upstream's requests have no seeds: a sample comes from the engine's one generator, so it depends on what is sampled
beside it and was before it. And experiences are trained on in the order in which they arrive. Here:

1. **Seeds.** Each prompt of a step is sent with a seed of its own, made of the run's seed, the total step and the
   prompt's place in the step; its k-th sample uses that seed + k, as vLLM numbers the samples of one request.
2. **Order.** Experiences are handed on in the order in which their prompts were sent. Dynamic filtering sends a further
   prompt for each that it drops, in the file's order, so which prompts a step has does not depend on arrival either.
3. **Keeping.** All samples of a step, dropped ones too, are on disk before the step is trained (run/kept_rollouts.py).
   Where they can't be written the run stops, as it does where a state can't: no step is trained without its evidence.

Which engine a sample goes to follows from the engines' load (`spread`), and decides no seed.
"""

import hashlib
from collections.abc import Iterator
from copy import copy, deepcopy
from pathlib import Path
from typing import Any

from deepscaler.training.openrlhf.bounds import Bounds, Progress
from deepscaler.training.openrlhf.measured_share import fill, is_measured
from deepscaler.training.openrlhf.spread import Engines, taken_out, wait_for_parts

SEED_BITS = 62
"""vLLM takes a signed 64-bit seed; the samples' numbers are added."""


def seed_of(seed: int, total_step: int, place: int) -> int:
    """The seed of a prompt's first sample."""
    digest = hashlib.sha256(f"{seed}/rollout/{total_step}/{place}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)


class SeededEngine:
    """An engine's handle whose prompts go to all engines, with a seed of their own; other calls are the engine's."""

    def __init__(self, engine: Any, engines: Engines, step: "StepOfRollouts") -> None:
        self._engine, self._engines, self._step = engine, engines, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    @property
    def generate_responses(self) -> Any:
        return self

    def remote(self, *, num_samples: int, sampling_params: Any, **request: Any) -> Any:
        """`generate_responses.remote`"""
        own = copy(sampling_params)  # upstream has one for all prompts
        if not self._step.next_is_measured:
            own.logprobs = None
        seed = self._step.next_seed(num_samples)
        return self._engines.send(seed=seed, num_samples=num_samples, sampling_params=own, **request)


class StepOfRollouts:
    """The prompts of the current step, in the order in which they are sent, and the samples that came of them."""

    def __init__(self, seed: int, bounds: Bounds, progress: Progress) -> None:
        self._seed, self._bounds, self._progress = seed, bounds, progress
        self.start()

    def start(self) -> None:
        self._places: dict[int, tuple[int, int]] = {}  # a sample's seed → its prompt's place in the step, its number
        self._sent = 0
        self._made: list[Any] = []

    @property
    def step(self) -> int:
        return self._progress.step + 1

    @property
    def total_step(self) -> int:
        return self._bounds.total_before + self.step

    @property
    def next_is_measured(self) -> bool:
        """Whether the next prompt comes with log-probabilities."""
        return is_measured(self._sent, self._bounds.log_probs_every)

    def next_seed(self, samples: int) -> int:
        seed = seed_of(self._seed, self.total_step, self._sent)
        for number in range(samples):
            self._places[seed + number] = (self._sent, number)
        self._sent += 1
        return seed

    def place(self, experience: Any) -> tuple[int, int]:
        return self._places[experience.sample_seed]

    def note(self, experience: Any) -> None:
        if self._bounds.rollouts:
            self._made.append(experience)

    def keep(self, trained: list[Any]) -> None:
        """Write the samples that were noted, those in `trained` and those that were dropped."""
        if self._bounds.rollouts:
            from deepscaler.training.run.kept_rollouts import path_of, write

            write(path_of(Path(self._bounds.rollouts), self.step), self.rows(trained), self._seed, self.total_step)

    def rows(self, trained: list[Any]) -> Iterator[dict[str, Any]]:
        seeds = {experience.sample_seed for experience in trained}
        for experience in sorted(self._made, key=self.place):
            prompt, sample = self.place(experience)
            yield {
                "prompt": prompt,
                "sample": sample,
                "seed": experience.sample_seed,
                "trained": experience.sample_seed in seeds,
                "reason": experience.reason,
                **columns_of(experience),
            }


def columns_of(experience: Any) -> dict[str, Any]:
    """What upstream's experience of one sample holds; its masks and log-probabilities begin at the second token."""
    tokens, mask = experience.sequences[0].int(), experience.action_mask[0]  # int32: Arrow takes its own types at once
    start = int(mask.argmax()) + 1 if mask.any() else len(tokens)
    sampled = experience.rollout_log_probs
    return {
        "prompt_text": experience.prompts[0],
        "label": experience.labels[0],
        "prompt_tokens": tokens[:start].numpy(),
        "tokens": tokens[start:].numpy(),
        "log_probs": None if sampled is None else sampled[0][start - 1 :].numpy(),
        "truncated": bool(experience.truncated[0]),
        "reward": float(experience.rewards[0]),
    }


def send_seeds(module: Any, bounds: Bounds, progress: Progress) -> None:
    """Of openrlhf.trainer.ppo_utils.samples_generator, in the trainer's process."""
    generator = module.SamplesGenerator
    make, generate, process = generator.__init__, generator._generate_vllm, generator._process_response_into_experience

    def with_seeded_engines(self: Any, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        self.step_of_rollouts = StepOfRollouts(self.args.train.seed, bounds, progress)
        self.engines = Engines(module.ray, self.vllm_engines, self.tokenizer)
        self.vllm_engines = [SeededEngine(engine, self.engines, self.step_of_rollouts) for engine in self.vllm_engines]

    def in_order_of_sending(self: Any, *arguments: Any, **named: Any) -> tuple[list[Any], int, bool]:
        self.step_of_rollouts.start()
        experiences, consumed, exhausted = generate(self, *arguments, **named)
        experiences = sorted(experiences, key=self.step_of_rollouts.place)
        self.step_of_rollouts.keep(experiences)
        fill(experiences)
        return experiences, consumed, exhausted

    def with_seed(self: Any, response: dict[str, Any], **named: Any) -> Any:
        experience = process(self, response, **named)
        experience.sample_seed, experience.reason = response["sample_seed"], response["reason"]
        self.step_of_rollouts.note(experience)
        return experience

    wait_for_parts(module)
    generator.__init__ = with_seeded_engines
    generator._generate_vllm = in_order_of_sending
    generator._process_response_into_experience = with_seed


def use_seeds(module: Any) -> None:
    """Of openrlhf.utils.agent, in the engines' processes: upstream samples a prompt n times with one set of parameters.

    That set came with the prompt's request and belongs to it alone, so it counts the samples by its own seed.
    """
    execute = module.SingleTurnAgentExecutor.execute

    async def with_own_seed(self: Any, *, sampling_params: Any, hf_tokenizer: Any, **request: Any) -> dict[str, Any]:
        if sampling_params.seed is None:
            raise RuntimeError("a rollout was asked for without a seed")
        own = deepcopy(sampling_params)
        sampling_params.seed += 1
        tokenizer = await taken_out(hf_tokenizer)
        reasons: list[str] = []
        executor = copy(self)
        if self.reward_func:
            executor.reward_func = noting(self.reward_func, reasons)
        response = await execute(executor, sampling_params=own, hf_tokenizer=tokenizer, **request)
        return {**response, "sample_seed": own.seed, "reason": reasons[0] if reasons else None}

    module.SingleTurnAgentExecutor.execute = with_own_seed


def noting(reward_func: Any, reasons: list[str]) -> Any:
    """The reward function of one sample, which leaves the reasons that upstream would pass over."""

    def with_note(*arguments: Any) -> Any:
        rewards = reward_func(*arguments)
        reasons.extend(rewards.get("reasons", ()))
        return rewards

    return with_note
