"""Processor seconds of OpenRLHF's trainer process in one step of the paper, by part: what all GPUs wait for.

    .venv/bin/python benchmarks/host.py [stage ...] [--share 8]

The engines' own functions are fed with samples of the plan's lengths; nothing is generated or trained. `--share 8`
takes an eighth of a step's samples and multiplies by eight. Prints a Markdown table, the returns by OpenRLHF's own loop
and by this package's patch in the same run.
"""

import argparse
import sys
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
from deepscaler.training.openrlhf import returns
from deepscaler.training.openrlhf.flags import SegmentPaths, segment_flags
from deepscaler.training.openrlhf.parser import parse_as_openrlhf

sys.path.insert(0, str(Path(returns.__file__).parent / "cpu" / "path"))  # OpenRLHF as it imports on CPUs
SHORTEST = 5


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


def responses(stage: str, share: int) -> Iterator[dict[str, Any]]:
    """What the engines return: tokens, log-probabilities and a reward a sample, seeded."""
    recipe = settings.load_recipe("deepscaler")
    found = recipe.stage(stage)
    lengths = expected_lengths(found.max_new_tokens, from_base=recipe.stages[0].name == stage)
    generator = numpy.random.default_rng(0)
    prompts = recipe.rollout.prompts_per_step // share
    for drawn in lengths.draw(generator, 1, prompts, recipe.samples_of(found)).ravel():
        size = max(SHORTEST, int(drawn))
        yield {
            "prompt": "",
            "label": "",
            "images": None,
            "mm_train_inputs": None,
            "observation_tokens": generator.integers(0, 150_000, PROMPT_TOKENS + size).tolist(),
            "action_ranges": [(PROMPT_TOKENS, PROMPT_TOKENS + size)],
            "rollout_log_probs": [0.0] * PROMPT_TOKENS + (-generator.random(size)).tolist(),
            "truncated": size >= found.max_new_tokens,
            "reward": float(generator.random() < 0.5),
            "scores": 1.0,
            "extra_logs": {},
        }


def measure(stage: str, share: int, patched: bool) -> dict[str, float]:
    """Seconds of a whole step, by part."""
    from openrlhf.trainer.ppo_utils import experience_maker, samples_generator
    from openrlhf.trainer.ppo_utils.experience import balance_experiences

    arguments, clock = step_arguments(stage), Clock()
    generator = samples_generator.SamplesGenerator.__new__(samples_generator.SamplesGenerator)
    generator.args = arguments
    samples = []
    for response in responses(stage, share):
        with clock.part("samples to tensors"):
            samples.append(generator._process_response_into_experience(response, max_len=arguments.data.max_len))
    own = type("Maker", (experience_maker.RemoteExperienceMaker,), {})
    if patched:
        returns.at_once(SimpleNamespace(RemoteExperienceMaker=own))
    maker = own.__new__(own)
    maker.args, maker.strategy = arguments, SimpleNamespace(args=arguments)
    maker.tokenizer, maker.kl_ctl = SimpleNamespace(pad_token_id=0), SimpleNamespace(value=0.001)
    maker.advantage_estimator, maker.initial_model_group = arguments.algo.advantage.estimator, 1
    with clock.part("micro-batches"):
        batches = maker.split_rollout_samples(samples)
    for batch in batches:
        zeros = torch.zeros(batch.action_mask.shape)
        batch.action_log_probs, batch.base_action_log_probs, batch.kl, batch.values = zeros, zeros.clone(), zeros, None
        batch.info["kl"] = batch.info["logprobs_diff"] = zeros.sum(-1)
    with clock.part("returns and advantages"):
        batches = maker.compute_advantages_and_returns(batches)
    with clock.part("to the ranks"):
        balance_experiences(batches, arguments)
    return {name: seconds * share for name, seconds in clock.seconds.items()}


def main() -> None:
    stages = [stage.name for stage in settings.load_recipe("deepscaler").stages]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", help=f"of {', '.join(stages)}; all without one")
    parser.add_argument("--share", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| stage | part | OpenRLHF's own | patched |\n|---|---|---|---|")
    for stage in options.stages or stages:
        before, after = (measure(stage, options.share, patched) for patched in (False, True))
        for part in before:
            print(f"| {stage} | {part} | {before[part]:.1f} s | {after[part]:.1f} s |")
        print(f"| {stage} | **together** | {sum(before.values()):.1f} s | {sum(after.values()):.1f} s |", flush=True)


if __name__ == "__main__":
    main()
