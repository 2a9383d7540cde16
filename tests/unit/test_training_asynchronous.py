"""Asynchronous rollouts: where they go on after a kill, and how old the weights are that they came from."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deepscaler.training.openrlhf import asynchronous
from deepscaler.training.openrlhf.asynchronous import AGE, MIXED, OLDEST
from deepscaler.training.openrlhf.bounds import Bounds, Progress

BOUNDS = Bounds("8k", "8k-2", 80, 160, 0, 2080, False, "/runs/metrics.jsonl", None, asynchronous=True)


class Generator:
    """Upstream's, as far as it is patched."""

    def __init__(self, path: Path) -> None:
        self.args = SimpleNamespace(ckpt=SimpleNamespace(path=str(path)))

    def _process_response_into_experience(self, response: dict[str, Any]) -> Any:
        return SimpleNamespace(text=response["text"])


class Engine:
    async def collective_rpc(self, method: str, timeout: Any = None, args: Any = (), kwargs: Any = None) -> str:
        return method


class Executor:
    async def execute(self, meanwhile: Any) -> dict[str, Any]:
        await meanwhile()
        return {"text": "answer"}


class Trainer:
    def broadcast_to_vllm(self) -> None:
        pass

    def train_step(self, rollout_samples: list[Any], global_step: int) -> tuple[dict[str, Any], int]:
        self.broadcast_to_vllm()  # the new weights, once the step is made
        return {"reward": 1.0}, global_step + 1


@pytest.fixture(autouse=True)
def patched(monkeypatch: pytest.MonkeyPatch) -> Progress:
    progress = Progress(BOUNDS.first)
    for owner, names in (
        (Generator, ("__init__", "_process_response_into_experience")),
        (Engine, ("collective_rpc",)),
        (Executor, ("execute",)),
        (Trainer, ("broadcast_to_vllm", "train_step")),
    ):
        for name in names:
            monkeypatch.setattr(owner, name, getattr(owner, name))  # put back afterwards
    monkeypatch.setattr(asynchronous, "_updates", 0)
    asynchronous.go_on_after_state(SimpleNamespace(SamplesGenerator=Generator), BOUNDS, progress)
    asynchronous.carry_updates(SimpleNamespace(SamplesGenerator=Generator))
    asynchronous.count_updates(SimpleNamespace(AsyncLLM=Engine))
    asynchronous.note_updates(SimpleNamespace(SingleTurnAgentExecutor=Executor))
    asynchronous.log_age(SimpleNamespace(BasePPOTrainer=Trainer))
    return progress


@pytest.mark.parametrize(("latest", "step"), [("global_step120", 120), ("global_step80", 80), (None, 80)])
def test_rollouts_go_on_after_the_state_that_is_loaded(
    patched: Progress, tmp_path: Path, latest: str | None, step: int
) -> None:
    if latest:
        (tmp_path / "_actor").mkdir()
        (tmp_path / "_actor" / "latest").write_text(latest)
    Generator(tmp_path)
    assert patched.step == step


async def send_weights(tensors: int = 3) -> None:
    for number in range(tensors):
        await Engine().collective_rpc("update_weight", args=("name", "bf16", (1,), number == tensors - 1))


def sampled(tmp_path: Path, meanwhile: Any) -> Any:
    response = asyncio.run(Executor().execute(meanwhile=meanwhile))
    return Generator(tmp_path)._process_response_into_experience(response)


async def nothing() -> None:
    pass


def test_a_samples_age_is_the_steps_its_first_weights_are_behind(tmp_path: Path) -> None:
    """One drawn before the second update, one over it, one after it; the trainer has sent three."""
    trainer = Trainer()
    trainer.broadcast_to_vllm()
    asyncio.run(send_weights())
    before = sampled(tmp_path, nothing)
    over = sampled(tmp_path, send_weights)
    after = sampled(tmp_path, nothing)
    assert [sample.updates for sample in (before, over, after)] == [(1, 1), (1, 2), (2, 2)]
    for _ in range(2):
        trainer.broadcast_to_vllm()
    status, step = trainer.train_step([before, over, after], 7)
    assert step == 8
    assert status == {"reward": 1.0, AGE: pytest.approx(5 / 3), OLDEST: 2.0, MIXED: pytest.approx(1 / 3)}


def test_a_step_on_the_newest_weights_has_age_0(tmp_path: Path) -> None:
    status, _ = Trainer().train_step([sampled(tmp_path, nothing)], 0)
    assert (status[AGE], status[OLDEST], status[MIXED]) == (0.0, 0.0, 0.0)


def test_other_calls_to_the_engine_count_for_nothing(tmp_path: Path) -> None:
    assert asyncio.run(Engine().collective_rpc("init_process_group", args=("a", True))) == "init_process_group"
    assert sampled(tmp_path, nothing).updates == (0, 0)
