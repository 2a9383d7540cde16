"""Rollouts follow from the seed, the step and the prompt's place, in whatever order answers come."""

import asyncio
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from deepscaler.training.openrlhf import hooks, rollouts
from deepscaler.training.openrlhf.bounds import Bounds, Progress

SAMPLES = 3
BOUNDS = Bounds(
    "16k", "16k-1", first=0, last=4, total_before=12, scheduler_steps=8, cycle_prompts=True, metrics="m", rollouts=None
)


class Request:
    """What vLLM's SamplingParams is to the patches: it has a seed, and copies when it is sent."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed


class Executor:
    """Upstream's executor with an engine whose answers are the seeds."""

    reward_func = None

    async def execute(self, prompt: str, sampling_params: Request) -> dict[str, Any]:
        seed = sampling_params.seed
        for _ in range(random.randrange(3)):
            await asyncio.sleep(0)
        return {"prompt": prompt, "text": f"{prompt}:{seed}"}


class Engine:
    """A handle like Ray's: `generate_responses.remote(...)` gives the samples of one prompt at once."""

    def __init__(self) -> None:
        self.generate_responses = SimpleNamespace(remote=self.generate)
        self.asked = 0

    def generate(self, *, prompt: str, sampling_params: Request, num_samples: int) -> list[dict[str, Any]]:
        self.asked += 1
        own = Request(sampling_params.seed)  # Ray copies what is sent

        async def all_samples() -> list[dict[str, Any]]:
            one = Executor()
            return await asyncio.gather(
                *(one.execute(prompt=prompt, sampling_params=own) for _ in range(num_samples))  # type: ignore[call-arg]
            )

        return asyncio.run(all_samples())


class Generator:
    """Upstream's generator: sends a batch, takes answers as they come, replaces the prompts that are filtered out."""

    def __init__(self, engines: list[Engine], seed: int, luck: random.Random) -> None:
        self.args = SimpleNamespace(train=SimpleNamespace(seed=seed))
        self.vllm_engines, self.luck = engines, luck

    def _generate_vllm(self, prompts: Iterator[str], count: int) -> tuple[list[Any], int, bool]:
        shared, accepted, consumed = Request(), [], count
        pending = [self.send(next(prompts), shared) for _ in range(count)]
        while pending:
            responses = pending.pop(self.luck.randrange(len(pending)))
            if responses[0]["prompt"].endswith("!"):
                pending.append(self.send(next(prompts), Request()))
                consumed += 1
            else:
                accepted += [self._process_response_into_experience(response) for response in responses]
        return accepted, consumed, False

    def send(self, prompt: str, parameters: Request) -> Any:
        engine = self.luck.choice(self.vllm_engines)
        return engine.generate_responses.remote(prompt=prompt, sampling_params=parameters, num_samples=SAMPLES)

    def _process_response_into_experience(self, response: dict[str, Any]) -> Any:
        return SimpleNamespace(text=response["text"])


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> Progress:
    progress = Progress(0)
    for name in ("__init__", "_generate_vllm", "_process_response_into_experience"):
        monkeypatch.setattr(Generator, name, getattr(Generator, name))  # put back afterwards
    monkeypatch.setattr(Executor, "execute", Executor.execute)
    rollouts.send_seeds(SimpleNamespace(SamplesGenerator=Generator), BOUNDS, progress)
    rollouts.use_seeds(SimpleNamespace(SingleTurnAgentExecutor=Executor))
    return progress


PROMPTS = ["a", "b!", "c", "d", "e!", "f", "g!", "h", "i", "j"]


def texts(luck: int, engines: int = 1, seed: int = 42, prompts: list[str] = PROMPTS) -> list[str]:
    generator = Generator([Engine() for _ in range(engines)], seed, random.Random(luck))
    return [experience.text for experience in generator._generate_vllm(iter(prompts), 4)[0]]


def test_arrival_engines_and_filtering_change_nothing(patched: Progress) -> None:
    first = texts(luck=0)
    assert [text[0] for text in first] == ["a"] * 3 + ["c"] * 3 + ["d"] * 3 + ["f"] * 3
    for luck in range(1, 20):
        assert texts(luck, engines=1 + luck % 3) == first


def test_without_the_patches_they_do() -> None:
    """The negative control: the same generator as it is upstream."""
    assert len({tuple(texts(luck)) for luck in range(20)}) > 1


def test_every_sample_has_its_own_seed_in_every_step(patched: Progress) -> None:
    seen = set()
    for step in range(4):
        patched.step = step
        seen |= {text.split(":")[1] for text in texts(0)}
    assert len(seen) == 4 * 4 * SAMPLES
    patched.step = 0
    assert {text.split(":")[1] for text in texts(0, seed=43)}.isdisjoint(seen)


def test_a_resumed_run_draws_what_an_undisturbed_one_would(patched: Progress) -> None:
    generator = Generator([Engine()], 42, random.Random(1))
    for step in range(3):
        patched.step = step
        undisturbed = generator._generate_vllm(iter(PROMPTS), 4)[0]
    patched.step = 2
    resumed = Generator([Engine()], 42, random.Random(5))._generate_vllm(iter(PROMPTS), 4)[0]
    assert [one.text for one in resumed] == [one.text for one in undisturbed]


def test_a_step_counts_from_the_base_model(patched: Progress) -> None:
    assert texts(0)[0] == f"a:{rollouts.seed_of(42, 13, 0)}"
    assert 0 <= rollouts.seed_of(42, 13, 0) < 2**62


def test_the_same_prompt_twice_in_a_step_is_sampled_anew(patched: Progress) -> None:
    drawn = texts(0, prompts=["a", "a", "a", "a"])
    assert len(set(drawn)) == 4 * SAMPLES


def test_a_request_without_a_seed_is_refused(patched: Progress) -> None:
    with pytest.raises(RuntimeError, match="without a seed"):
        asyncio.run(Executor().execute(prompt="a", sampling_params=Request()))


def test_all_other_calls_reach_the_engine(patched: Progress) -> None:
    [engine] = Generator([Engine()], 42, random.Random(0)).vllm_engines
    assert engine.asked == 0


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "MADE_FOR", "0.0.1")
    with pytest.raises(RuntimeError, match=r"made for openrlhf 0\.0\.1"):
        hooks.refuse_other_versions(None)
