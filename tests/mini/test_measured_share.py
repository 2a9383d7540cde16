"""On the real engines: log-probabilities of a third of the prompts make the same weights as all, to the byte."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from deepscaler.training.openrlhf.measured_share import is_measured
from deepscaler.training.run import kept_rollouts
from deepscaler.training.watch.metrics import VLLM_KL
from test_training_chain import (  # fixtures among them
    LAYOUT,
    RECIPE,
    Chain,
    base,  # noqa: F401
    chain,  # noqa: F401
    metrics,
    tensors,
)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(2400)]

EVERY = {"all": 1, "third": 3}
"""Scale → the prompts of which one is measured."""


@pytest.fixture(scope="module")
def checkpoints(chain: Chain, base: Path) -> dict[str, Path]:  # noqa: F811
    config, found = chain.root / "config", {}
    for name, every in EVERY.items():
        recipe: dict[str, Any] = {**RECIPE, "description": f"Log-probabilities of one prompt of {every}"}
        recipe["rollout"] = {**RECIPE["rollout"], "log_probs_every": every}
        recipe["advantage"] = {"importance_correction": "none"}
        (config / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
        scale = yaml.safe_load((config / "scales" / "tiny.yaml").read_text())
        layout = {**LAYOUT, "segment_steps": 2}
        scale["training"] |= {"recipe": name, "layout": {"8k": layout, "16k": layout}}
        (config / "scales" / f"{name}.yaml").write_text(yaml.safe_dump(scale))
        process = chain.start(name, "8k-1", base, scale=name, runs=name, checkpoints=f"{name}-out")
        assert chain.finish(name, process) == 0, chain.printed[name][-3000:]
        found[name] = chain.checkpoint("8k-1", f"{name}-out")
    return found


def test_the_weights_are_the_same_to_the_byte(checkpoints: dict[str, Path]) -> None:
    every, third = (tensors(path.with_name("model.safetensors")) for path in checkpoints.values())
    assert every.keys() == third.keys()
    assert all(every[name].equal(third[name]) for name in every)


def test_a_third_of_the_prompts_is_measured_and_all_else_is_equal(checkpoints: dict[str, Path]) -> None:
    for step in (1, 2):
        every, third = (
            kept_rollouts.read(kept_rollouts.path_of(path.with_name(kept_rollouts.FOLDER), step))
            for path in checkpoints.values()
        )
        for row, shared in zip(every, third, strict=True):
            measured = is_measured(row["prompt"], EVERY["third"])
            assert shared == (row if measured else {**row, "log_probs": None})
            assert row["log_probs"]
        assert 0 < sum(row["log_probs"] is not None for row in third) < len(third)


def test_what_is_logged_differs_in_the_divergence_alone(checkpoints: dict[str, Path]) -> None:
    every, third = (metrics(path) for path in checkpoints.values())
    for row, shared in zip(every, third, strict=True):
        assert row.keys() == shared.keys()
        differing = {key for key in row if row[key] != shared[key] and not key.startswith(("time", "grading_cached"))}
        assert differing <= {VLLM_KL, "is_filter_ratio"}
        assert VLLM_KL in differing
        assert abs(shared[VLLM_KL]) < 5e-3


def test_every_step_follows_from_its_rollouts(chain: Chain, checkpoints: dict[str, Path]) -> None:  # noqa: F811
    """By code that shares nothing with OpenRLHF: weights to the bit, and the divergence of those that were measured."""
    work = chain.root / "work" / "third"
    work.mkdir()
    for name, folder in {"models": "models", "prompts": "prompts", "checkpoints": "third-out"}.items():
        (work / name).symlink_to(chain.work / folder)
    own = {"DEEPSCALER_ROOT": str(chain.root), "DEEPSCALER_WORK": str(chain.root / "work")}
    command = [str(Path(sys.executable).with_name("deepscaler")), "replay", "--scale", "third", "--segment", "8k-1"]
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("numbers as logged") == 2
    assert "weights follow, bit for bit" in done.stdout
