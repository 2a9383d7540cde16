"""Processor seconds of the Python processes beside the GPUs in one step of the paper, by part: what GPUs may wait for.

    .venv/bin/python benchmarks/host.py [stage ...] [--share 8]

The engines' own functions are fed with samples of the plan's lengths; nothing is generated or trained. `--share 8`
takes an eighth of a step's samples and multiplies by eight. Prints Markdown tables, before and after the hooks on
returns, log-probabilities and the form of answers in the same run: of the one process that trains, for which all GPUs
wait, and of an engine's actor, which has its share of the samples and works while its GPU draws tokens. Bringing new
weights to vLLM is in weight_sync.py.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import torch
from deepscaler import dag, settings
from deepscaler.cost.assumptions import PROMPT_TOKENS
from deepscaler.cost.lengths import expected_lengths
from deepscaler.training.launch.ray_access import protected
from deepscaler.training.openrlhf import measured_share, returns
from deepscaler.training.openrlhf.flags import SegmentPaths, segment_flags
from deepscaler.training.openrlhf.parser import parse_as_openrlhf
from deepscaler.training.openrlhf.rollouts import columns_of
from deepscaler.training.openrlhf.whole_answers import as_arrays
from deepscaler.training.run import kept_rollouts
from host_actor import executed, made_tokenizer, seconds_a_token

sys.path.insert(0, str(Path(returns.__file__).parent / "cpu" / "path"))  # OpenRLHF as it imports on CPUs
SHORTEST = 5
STORE_BYTES = 2 << 30


class Clock:
    """Processor seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start


def step_arguments(stage: str) -> Any:
    """The settings with which OpenRLHF trains the stage."""
    here = Path("unused")
    segment = next(piece for piece in dag.segments("paper") if piece.stage == stage)
    return parse_as_openrlhf(segment_flags("paper", segment, SegmentPaths(here, here, here, here, here, here)))


def lengths_of(stage: str, prompts: int) -> Any:
    """Tokens of the answers to so many prompts, of shape (prompts, samples), seeded."""
    recipe = settings.load_recipe("deepscaler")
    found = recipe.stage(stage)
    lengths = expected_lengths(found.max_new_tokens, from_base=recipe.stages[0].name == stage)
    drawn = lengths.draw(numpy.random.default_rng(0), 1, prompts, recipe.samples_of(found))
    return numpy.maximum(SHORTEST, drawn.astype(int)).reshape(prompts, -1)


def answers_to(lengths: Any, most: int, measured: bool) -> list[dict[str, Any]]:
    """What the engines return of a prompt: tokens, log-probabilities where they were asked for, and a reward each."""
    generator = numpy.random.default_rng(int(lengths.sum()))
    return [
        {
            "prompt": "",
            "label": "",
            "images": None,
            "mm_train_inputs": None,
            "observation_tokens": generator.integers(0, 150_000, PROMPT_TOKENS + size).tolist(),
            "action_ranges": [(PROMPT_TOKENS, PROMPT_TOKENS + size)],
            "rollout_log_probs": [0.0] * PROMPT_TOKENS + (-generator.random(size)).tolist() if measured else None,
            "truncated": size >= most,
            "reward": float(generator.random() < 0.5),
            "scores": 1.0,
            "extra_logs": {},
        }
        for size in lengths.tolist()
    ]


def of_trainer(stage: str, share: int, patched: bool) -> dict[str, float]:
    """Seconds of a whole step, by part."""
    import ray
    from openrlhf.trainer.ppo_utils import samples_generator

    arguments, clock, recipe = step_arguments(stage), Clock(), settings.load_recipe("deepscaler")
    every = recipe.rollout.log_probs_every if patched else 1
    generator = samples_generator.SamplesGenerator.__new__(samples_generator.SamplesGenerator)
    generator.args = arguments
    samples = []
    for place, lengths in enumerate(lengths_of(stage, recipe.rollout.prompts_per_step // share)):
        measured = measured_share.is_measured(place, every)
        answers = answers_to(lengths, arguments.rollout.max_new_tokens, measured)
        sent = ray.put([as_arrays(answer) for answer in answers] if patched else answers)
        with clock.part("answers out of Ray's store"):
            answers = ray.get(sent)
        with clock.part("answers to tensors"):
            samples += [
                generator._process_response_into_experience(answer, max_len=arguments.data.max_len)
                for answer in answers
            ]
    with clock.part("rollouts to disk"):
        keep(samples)
    measured_share.fill(samples)
    from_samples_to_ranks(samples, arguments, clock, patched)
    return {name: seconds * share for name, seconds in clock.seconds.items()}


def keep(samples: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = (
            {"prompt": 0, "sample": number, "seed": number, "trained": True, "reason": "", **columns_of(sample)}
            for number, sample in enumerate(samples)
        )
        kept_rollouts.write(Path(folder) / "step.parquet", rows, 0, 1)


def from_samples_to_ranks(samples: list[Any], arguments: Any, clock: Clock, patched: bool) -> None:
    """The rest of upstream's step, without what the GPUs do in it."""
    from openrlhf.trainer.ppo_trainer import BasePPOTrainer
    from openrlhf.trainer.ppo_utils import experience_maker
    from openrlhf.trainer.ppo_utils.experience import balance_experiences

    own = type("Maker", (experience_maker.RemoteExperienceMaker,), {})
    if patched:
        returns.at_once(SimpleNamespace(RemoteExperienceMaker=own))
    maker = own.__new__(own)
    maker.args, maker.strategy = arguments, SimpleNamespace(args=arguments)
    maker.tokenizer, maker.kl_ctl = SimpleNamespace(pad_token_id=0), SimpleNamespace(value=0.001)
    maker.advantage_estimator, maker.initial_model_group = arguments.algo.advantage.estimator, 1
    ranks = arguments.actor.num_nodes * arguments.actor.num_gpus_per_node
    with clock.part("micro-batches"):
        batches = maker.split_rollout_samples(samples)
    for _ in ("policy", "reference"):
        with clock.part("micro-batches to the models"):
            put_by_rank([(one.sequences, one.action_mask, one.attention_mask) for one in batches], ranks)
    for batch in batches:
        zeros = torch.zeros(batch.action_mask.shape)
        batch.action_log_probs, batch.base_action_log_probs, batch.kl, batch.values = zeros, zeros.clone(), zeros, None
        batch.info["kl"] = batch.info["logprobs_diff"] = zeros.sum(-1)
    with clock.part("returns and advantages"):
        batches = maker.compute_advantages_and_returns(batches)
    with clock.part("statistics"):
        BasePPOTrainer._compute_rollout_stats(None, batches)
    with clock.part("balanced over the ranks"):
        batches = balance_experiences(batches, arguments)
    with clock.part("experiences to the ranks"):
        put_by_rank(batches, ranks)


def put_by_rank(batches: list[Any], ranks: int) -> None:
    """As upstream does: a rank's part at a time into Ray's store, from which this benchmark lets it go at once."""
    import ray

    size = -(-len(batches) // ranks)
    for start in range(0, len(batches), size):
        ray.put(batches[start : start + size])


def of_actor(stage: str, tokenizer: Any, every: int, patched: bool) -> dict[str, float]:
    """Seconds of one engine's actor in a step, whose samples are a rank's share."""
    import ray

    arguments = step_arguments(stage)
    lengths = lengths_of(stage, -(-arguments.rollout.batch_size // arguments.vllm.num_engines))
    most, samples = arguments.rollout.max_new_tokens, lengths.shape[1]
    seconds, answers = executed(tokenizer, lengths.ravel().tolist(), most, samples, every)
    begun = time.process_time()
    if patched:
        answers = [as_arrays(answer) for answer in answers]
    for start in range(0, len(answers), samples):
        ray.put(answers[start : start + samples])
    return {
        "tokens as they are drawn": seconds_a_token(tokenizer, every) * int(lengths.sum()),
        "prompts to tokens, answers to text": seconds,
        "answers into Ray's store": time.process_time() - begun,
    }


def table(title: str, before: dict[str, float], after: dict[str, float]) -> None:
    for part in before:
        print(f"| {title} | {part} | {before[part]:.2f} s | {after[part]:.2f} s |")
    print(f"| {title} | **together** | {sum(before.values()):.2f} s | {sum(after.values()):.2f} s |", flush=True)


def main() -> None:
    recipe = settings.load_recipe("deepscaler")
    stages = [stage.name for stage in recipe.stages]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", help=f"of {', '.join(stages)}; all without one")
    parser.add_argument("--share", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ |= protected(dict(os.environ), nodes=1)
    os.environ["RAY_ENABLE_ZERO_COPY_TORCH_TENSORS"] = "1"
    import ray  # which looks at the environment as it is imported

    ray.init(num_cpus=1, include_dashboard=False, object_store_memory=STORE_BYTES, log_to_driver=False)
    tokenizer, heading = made_tokenizer(), "\n| stage | part of {} | before | as built |\n|---|---|---|---|"
    print(heading.format("the training process"))
    for stage in options.stages or stages:
        table(stage, *(of_trainer(stage, options.share, patched) for patched in (False, True)))
    seconds_a_token(tokenizer, None)  # loads vLLM
    print(heading.format("an engine's actor"))
    for stage in options.stages or stages:
        ways = ((1, False), (recipe.rollout.log_probs_every, True))
        table(stage, *(of_actor(stage, tokenizer, *way) for way in ways))
    print("\n| log-probabilities of | a token in an engine's actor |\n|---|---|")
    for name, every in (("none", None), ("every 8th prompt", 8), ("all", 1)):
        print(f"| {name} | {1e6 * seconds_a_token(tokenizer, every):.1f} µs |", flush=True)


if __name__ == "__main__":
    main()
