"""Rollouts follow from the seed, the step and the prompt's place, in whatever order answers come, and are kept so."""

import asyncio
import errno
import os
import random
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deepscaler.errors import JobError, UserError
from deepscaler.training.openrlhf import hooks, rollouts, spread, whole_answers
from deepscaler.training.openrlhf.bounds import Bounds, Progress
from deepscaler.training.run import kept_rollouts

SAMPLES = 3
BOUNDS = Bounds(
    "16k", "16k-1", first=0, last=4, total_before=12, scheduler_steps=8, cycle_prompts=True, metrics="m", rollouts=None
)


class Request:
    """What vLLM's SamplingParams is to the patches: it has a seed, asks for log-probabilities, and copies when sent."""

    def __init__(self, seed: int | None = None, logprobs: int | None = 1) -> None:
        self.seed, self.logprobs = seed, logprobs


class Executor:
    """Upstream's executor with an engine whose answers are the seeds."""

    @staticmethod
    def reward_func(queries: list[str], prompts: list[str], labels: list[str]) -> dict[str, Any]:
        return {"rewards": [float(len(queries[0]))], "reasons": [f"because of {queries[0]}"]}

    async def execute(self, prompt: str, sampling_params: Request, hf_tokenizer: Any) -> dict[str, Any]:
        seed, tokenizer = sampling_params.seed, hf_tokenizer
        for _ in range(random.randrange(3)):
            await asyncio.sleep(0)
        text = f"{prompt}:{seed}"
        rewards = self.reward_func([text], [prompt], [""]) if self.reward_func else {"rewards": [0.0]}
        asked = sampling_params.logprobs is not None
        reward = rewards["rewards"][0]
        return {"prompt": prompt, "text": text, "tokenizer": tokenizer, "reward": reward, "measured": asked}


class Reference:
    """What Ray gives for a value to come, or for one that was put into its store."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def future(self) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(self.value)
        return future


class Ray:
    """Ray whose values come in an order of chance."""

    def __init__(self, luck: random.Random) -> None:
        self.luck = luck

    def put(self, value: Any) -> Reference:
        return Reference(value)

    def get(self, references: Any) -> Any:
        return [one.value for one in references] if isinstance(references, list) else references.value

    def wait(self, pending: list[Any], *, num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        ready = self.luck.choice(pending)
        return [ready], [one for one in pending if one is not ready]


class Engine:
    """A handle like Ray's: `generate_responses.remote(...)` refers to samples of one prompt."""

    def __init__(self, busy: int = 0) -> None:
        self.generate_responses = SimpleNamespace(remote=self.generate)
        self.get_num_unfinished_requests = SimpleNamespace(remote=lambda: Reference(busy))
        self.shares: list[int] = []

    def generate(self, *, num_samples: int, sampling_params: Request, **request: Any) -> Reference:
        self.shares.append(num_samples)
        own = Request(sampling_params.seed, sampling_params.logprobs)  # Ray copies what is sent

        async def all_samples() -> list[dict[str, Any]]:
            one = Executor()
            return await asyncio.gather(*(one.execute(sampling_params=own, **request) for _ in range(num_samples)))

        return Reference(asyncio.run(all_samples()))


class Generator:
    """Upstream's generator: sends a batch, takes answers as they come, replaces the prompts that are filtered out."""

    def __init__(self, engines: list[Engine], seed: int) -> None:
        self.args = SimpleNamespace(train=SimpleNamespace(seed=seed))
        self.vllm_engines, self.tokenizer = engines, "tokenizer"

    def _generate_vllm(self, prompts: Iterator[str], count: int) -> tuple[list[Any], int, bool]:
        accepted, consumed = [], count
        pending = self._dispatch_prompts_to_vllm([next(prompts) for _ in range(count)])
        while pending:
            [ready], pending = MODULE.ray.wait(pending, num_returns=1, timeout=10.0)
            responses = MODULE.ray.get(ready)
            experiences = [self._process_response_into_experience(response) for response in responses]
            if responses[0]["prompt"].endswith("!"):
                pending += self._dispatch_prompts_to_vllm([next(prompts)])
                consumed += 1
            else:
                accepted += experiences
        return accepted, consumed, False

    def _dispatch_prompts_to_vllm(self, prompts: list[str]) -> list[Any]:
        """To the engines in turn; upstream chooses by load."""
        shared, engines = Request(), self.vllm_engines
        return [
            engines[place % len(engines)].generate_responses.remote(
                prompt=prompt, sampling_params=shared, num_samples=SAMPLES, hf_tokenizer=self.tokenizer
            )
            for place, prompt in enumerate(prompts)
        ]

    def _process_response_into_experience(self, response: dict[str, Any]) -> Any:
        """A prompt of two tokens and a response of three; masks and log-probabilities begin at the second token."""
        import torch

        return SimpleNamespace(
            text=response["text"],
            tokenizer=response["tokenizer"],
            sequences=torch.tensor([[7, 8, 9, 10, 11]]),
            action_mask=torch.tensor([[0, 1, 1, 1]]),
            rollout_log_probs=torch.tensor([[0.0, -0.5, -0.25, -1.5]]) if response["measured"] else None,
            prompts=[response["prompt"]],
            labels=["[]"],
            truncated=torch.tensor([False]),
            rewards=torch.tensor([response["reward"]]),
        )


MODULE = SimpleNamespace(SamplesGenerator=Generator, ray=None)
"""Upstream's samples_generator."""


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> Progress:
    return patch(monkeypatch, BOUNDS)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of the first step of a run whose rollouts are kept."""
    patch(monkeypatch, replace(BOUNDS, rollouts=str(tmp_path / "rollouts")))
    return tmp_path / "rollouts" / "step-00001.parquet"


def patch(monkeypatch: pytest.MonkeyPatch, bounds: Bounds) -> Progress:
    progress = Progress(0)
    for name in ("__init__", "_generate_vllm", "_dispatch_prompts_to_vllm", "_process_response_into_experience"):
        monkeypatch.setattr(Generator, name, getattr(Generator, name))  # put back afterwards
    monkeypatch.setattr(Executor, "execute", Executor.execute)
    monkeypatch.setattr(MODULE, "ray", Ray(random.Random(0)))
    rollouts.send_seeds(MODULE, bounds, progress)
    rollouts.use_seeds(SimpleNamespace(SingleTurnAgentExecutor=Executor))
    return progress


PROMPTS = ["a", "b!", "c", "d", "e!", "f", "g!", "h", "i", "j"]


def with_luck(luck: int) -> Any:
    """The module's Ray, patched or not, with values that come in another order."""
    ray = Ray(random.Random(luck))
    return spread.RayOfParts(ray) if isinstance(MODULE.ray, spread.RayOfParts) else ray


def texts(luck: int, engines: int = 1, seed: int = 42, prompts: list[str] = PROMPTS) -> list[str]:
    MODULE.ray = with_luck(luck)
    generator = Generator([Engine() for _ in range(engines)], seed)
    return [experience.text for experience in generator._generate_vllm(iter(prompts), 4)[0]]


def test_arrival_engines_and_filtering_change_nothing(patched: Progress) -> None:
    first = texts(luck=0)
    assert [text[0] for text in first] == ["a"] * 3 + ["c"] * 3 + ["d"] * 3 + ["f"] * 3
    for luck in range(1, 20):
        assert texts(luck, engines=1 + luck % 3) == first


def test_without_the_patches_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: the same generator as it is upstream."""
    monkeypatch.setattr(MODULE, "ray", None)
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
    generator = Generator([Engine()], 42)
    for step in range(3):
        patched.step = step
        undisturbed = generator._generate_vllm(iter(PROMPTS), 4)[0]
    patched.step = 2
    resumed = Generator([Engine()], 42)._generate_vllm(iter(PROMPTS), 4)[0]
    assert [one.text for one in resumed] == [one.text for one in undisturbed]


def test_a_step_counts_from_the_base_model(patched: Progress) -> None:
    assert texts(0)[0] == f"a:{rollouts.seed_of(42, 13, 0)}"
    assert 0 <= rollouts.seed_of(42, 13, 0) < 2**62


def test_the_same_prompt_twice_in_a_step_is_sampled_anew(patched: Progress) -> None:
    drawn = texts(0, prompts=["a", "a", "a", "a"])
    assert len(set(drawn)) == 4 * SAMPLES


def test_a_request_without_a_seed_is_refused(patched: Progress) -> None:
    with pytest.raises(RuntimeError, match="without a seed"):
        asyncio.run(Executor().execute(prompt="a", sampling_params=Request(), hf_tokenizer=[]))


def test_answers_are_asked_for_at_once_and_without_text(patched: Progress) -> None:
    """Each request's parameters as the engine gets them, under the seeds, which upstream's are copied for."""

    class Kinds(Enum):
        CUMULATIVE, FINAL_ONLY = 0, 2

    class Parameters(Request):
        output_kind, detokenize = Kinds.CUMULATIVE, True

    got = []

    class OfUpstream:
        async def execute(self, sampling_params: Any, hf_tokenizer: Any) -> dict[str, Any]:
            got.append(sampling_params)
            return {"observation_tokens": [7, 8, 150_000], "rollout_log_probs": [0.0, 0.0, -0.1]}

        reward_func = None

    module = SimpleNamespace(SingleTurnAgentExecutor=OfUpstream)
    whole_answers.ask_for_whole_answers(module)
    rollouts.use_seeds(module)
    sent = Parameters(seed=5)
    for _ in range(2):
        asyncio.run(OfUpstream().execute(sampling_params=sent, hf_tokenizer=[Reference(None)]))
    assert [(one.output_kind, one.detokenize, one.seed) for one in got] == [
        (Kinds.FINAL_ONLY, False, 5),
        (Kinds.FINAL_ONLY, False, 6),
    ]


@pytest.mark.parametrize("measured", [True, False])
def test_answers_are_the_trainers_numbers_as_arrays(measured: bool) -> None:
    """To the bit what upstream makes of the lists."""
    import numpy
    import torch

    chances = [0.0, 0.0, *(-numpy.random.default_rng(0).random(100)).tolist()] if measured else None
    given = {"observation_tokens": [7, 8, *range(150_000, 150_100)], "rollout_log_probs": chances, "reward": 1.0}
    found = whole_answers.as_arrays(given)
    tokens = found["observation_tokens"].copy()
    assert torch.equal(torch.tensor(tokens, dtype=torch.long), torch.tensor(given["observation_tokens"]))
    assert found["reward"] == 1.0
    if chances is None:
        assert found["rollout_log_probs"] is None
    else:
        kept = torch.tensor(found["rollout_log_probs"][1:50])
        assert kept.dtype == torch.float32
        assert torch.equal(kept, torch.tensor(chances[1:50]))


def test_every_sample_of_a_step_is_kept_and_says_why(kept: Path) -> None:
    texts(luck=3)
    rows = kept_rollouts.read(kept)
    assert [(row["prompt"], row["sample"]) for row in rows] == [(p, s) for p in range(6) for s in range(SAMPLES)]
    assert [row["prompt_text"] for row in rows[::SAMPLES]] == ["a", "b!", "c", "d", "e!", "f"]
    assert [row["trained"] for row in rows[::SAMPLES]] == [True, False, True, True, False, True]
    for row in rows:
        assert row["seed"] == rollouts.seed_of(42, 13, row["prompt"]) + row["sample"]
        assert row["reason"] == f"because of {row['prompt_text']}:{row['seed']}"
        assert (row["prompt_tokens"], row["tokens"]) == ([7, 8], [9, 10, 11])
        assert row["log_probs"] == [-0.5, -0.25, -1.5]


def test_a_share_of_the_prompts_comes_with_log_probabilities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those at every third place, dropped ones too; what is not measured is kept as null and trained on as NaN."""
    folder = tmp_path / "rollouts"
    with monkeypatch.context() as all_measured:
        patch(all_measured, BOUNDS)
        expected = texts(luck=5)
    patch(monkeypatch, replace(BOUNDS, rollouts=str(folder), log_probs_every=3))
    MODULE.ray = with_luck(5)
    experiences = Generator([Engine(), Engine()], 42)._generate_vllm(iter(PROMPTS), 4)[0]
    rows = kept_rollouts.read(kept_rollouts.path_of(folder, 1))
    found = [row["log_probs"] is not None for row in rows[::SAMPLES]]
    assert found == [True, False, False, True, False, False]
    assert all((row["log_probs"] is not None) == found[row["prompt"]] for row in rows)
    assert [bool(one.rollout_log_probs.isnan().all()) for one in experiences[::SAMPLES]] == [False, True, False, True]
    assert {tuple(one.rollout_log_probs.shape) for one in experiences} == {(1, 4)}
    assert [one.text for one in experiences] == expected


def test_equal_steps_have_equal_files(kept: Path) -> None:
    """In whatever order answers came; and a step that is repeated after a kill writes its file again."""
    written = set()
    for luck in range(8):
        texts(luck, engines=1 + luck % 3)
        written.add(kept.read_bytes())
    assert len(written) == 1
    assert len(list(kept.parent.iterdir())) == 1
    texts(0, seed=43)
    assert kept.read_bytes() not in written


@pytest.mark.parametrize("tokens", [None, [-1]])
def test_an_edited_file_is_refused(kept: Path, tokens: list[int] | None) -> None:
    texts(0)
    table = pq.read_table(kept)
    rows = table.to_pylist()
    rows[0]["tokens"] = tokens
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), kept)
    with pytest.raises(UserError, match="sample 0"):
        kept_rollouts.read(kept)


def test_a_full_disk_stops_the_step(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never trained without its evidence, and nothing half-written stays."""

    def full(table: Any, path: Path, **_: Any) -> None:
        path.write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(JobError, match="No space left on device"):
        texts(0)
    assert list(kept.parent.iterdir()) == []


def test_a_reward_function_without_reasons_is_kept_without(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Executor, "reward_func", staticmethod(lambda *_: {"rewards": [1.0]}))
    texts(0)
    assert {row["reason"] for row in kept_rollouts.read(kept)} == {None}


def test_all_other_calls_reach_the_engine(patched: Progress) -> None:
    [engine] = Generator([Engine()], 42).vllm_engines
    assert engine.shares == []


def shares(prompts: list[str], *engines: Engine) -> list[list[int]]:
    """The samples of each request that each engine got."""
    Generator(list(engines), 42)._generate_vllm(iter(prompts), len(prompts))
    return [engine.shares for engine in engines]


def test_a_prompts_samples_go_to_different_engines(patched: Progress) -> None:
    """Two prompts of three samples: three each, and one request a prompt and engine."""
    assert shares(["a", "b"], Engine(), Engine()) == [[2, 1], [1, 2]]
    assert shares(["a"], *(Engine() for _ in range(4))) == [[1], [1], [1], []]
    assert shares(["a", "b"], Engine()) == [[3, 3]]


def test_the_engine_with_the_least_to_do_gets_the_next(patched: Progress) -> None:
    assert shares(["a", "b"], Engine(busy=2), Engine()) == [[1, 1], [2, 2]]
    assert shares(["a"], Engine(busy=9), Engine(busy=1)) == [[], [3]]


def test_a_prompt_counts_as_come_when_all_its_samples_have(patched: Progress) -> None:
    """In their order, whatever order their engines answered in."""
    for luck in range(20):
        ray = spread.RayOfParts(Ray(random.Random(luck)))
        one, two = spread.Together([Reference([1]), Reference([2, 3])]), Reference([4])
        [first], rest = ray.wait([one, two], num_returns=1, timeout=1)
        [second], none = ray.wait(rest, num_returns=1, timeout=1)
        assert {tuple(ray.get(first)), tuple(ray.get(second))} == {(1, 2, 3), (4,)}
        assert none == []


def test_where_the_time_is_up_nothing_has_come() -> None:
    ray = spread.RayOfParts(SimpleNamespace(wait=lambda pending, **_: ([], pending)))
    waiting = [spread.Together([Reference([1]), Reference([2])])]
    assert ray.wait(waiting, num_returns=1, timeout=1) == ([], waiting)


def test_the_tokenizer_is_sent_once(patched: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests refer to it; an engine takes it out of the store once."""
    taken: list[Reference] = []
    future = Reference.future
    monkeypatch.setattr(Reference, "future", lambda self: [taken.append(self), future(self)][1])
    drawn = Generator([Engine(), Engine()], 42)._generate_vllm(iter(PROMPTS), 4)[0]
    assert {one.tokenizer for one in drawn} == {"tokenizer"}
    assert [one.value for one in taken] == ["tokenizer"]


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "MADE_FOR", "0.0.1")
    with pytest.raises(RuntimeError, match=r"made for openrlhf 0\.0\.1"):
        hooks.refuse_other_versions(None)
