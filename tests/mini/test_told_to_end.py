"""A job that is told to end, on the real engines: the step is trained to its end and saved, and nothing of it is lost.

As SLURM tells it: SIGTERM to every process of the job at once. The states that `save_steps` asks for are further apart
than the segment is long, so that every state here was saved because the job was told to end.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deepscaler.errors import GoOn
from test_equal_training import add_scale, trained
from test_training_chain import Chain, base, before, chain, launched_by, started_at, zero_stage  # noqa: F401

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

FOLDERS = {"scale": "sparse", "runs": "told", "checkpoints": "told-out"}


def tell_when(chain: Chain, name: str, condition: Callable[[], bool], **more: str) -> int:  # noqa: F811
    """Start 8k-1, send SIGTERM to all of its launch when the condition holds; its exit code."""
    process = chain.start(name, "8k-1", chain.work / "models/mini-base/model.json", **FOLDERS, **more)
    deadline = time.monotonic() + 600
    while not condition():
        assert process.poll() is None, (chain.root / f"{name}.out").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for pid in [process.pid, *launched_by(process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    chain.held(name).unlink(missing_ok=True)  # a launch that was held goes on
    return chain.finish(name, process)


@pytest.fixture(scope="module")
def quiet(chain: Chain, base: Path) -> dict[str, str]:  # noqa: F811
    add_scale(chain, "sparse", save_steps=50)
    return trained(chain, base, "sparse", "quiet")


@pytest.fixture(scope="module")
def told(chain: Chain, base: Path, quiet: dict[str, str]) -> dict[str, str]:  # noqa: F811
    """Told to end while it starts, while step 2 is sampled, and between the two updates of step 3."""
    assert tell_when(chain, "early", lambda: "at step 0" in (chain.root / "early.out").read_text()) == GoOn.exit_code
    rollout = {"PYTHONPATH": before("held"), "CHAIN_HOLD": "rollout:3"}
    assert tell_when(chain, "rollout", chain.held("rollout").exists, **rollout) == GoOn.exit_code
    update = {"PYTHONPATH": before("held"), "CHAIN_HOLD": "update:1"}
    assert tell_when(chain, "update", chain.held("update").exists, **update) == GoOn.exit_code
    return trained(chain, base, "sparse", "told")


def test_the_step_is_finished_and_saved(chain: Chain, told: dict[str, str]) -> None:  # noqa: F811
    for step, name in enumerate(("early", "rollout", "update"), 1):
        assert "told to end by SIGTERM: saving at the end of this step" in chain.printed[name]
        assert f"told to end by SIGTERM: step {step} is saved" in chain.printed[name]
    assert [started_at(chain.printed[name]) for name in ("early", "rollout", "update", "told")] == [0, 1, 2, 3]


def test_the_run_is_the_undisturbed_one(quiet: dict[str, str], told: dict[str, str]) -> None:
    assert told == quiet
