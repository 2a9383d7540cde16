"""One step of each schedule that others ran on eight GPUs, on the real engines, at toy size.

Every setting is the recipe's own but for numbers of prompts and tokens: its estimator, updates a step, learning rate,
warm-up, KL, clip and limits. The weights are random, as in test_training_chain.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from deepscaler import settings
from deepscaler.files import read_json, read_jsonl
from deepscaler.training.watch.metrics import KL, VLLM_KL
from test_training_chain import LAYOUT, Chain, made_chain

pytestmark = [pytest.mark.engine, pytest.mark.timeout(2400)]

SIZE = {"prompts_per_step": 4, "samples_per_prompt": 8, "max_prompt_tokens": 40}
TOKENS = {"8k": 16, "16k": 24, "24k": 32}
LAYOUTS = {stage: {**LAYOUT, "segment_steps": 1} for stage in TOKENS}


def toy(name: str) -> dict[str, Any]:
    """The recipe in few tokens."""
    recipe = settings.load_recipe(name)
    prompt = SIZE["max_prompt_tokens"] if recipe.rollout.limit == "sequence" else 0
    stages = [
        stage.model_dump(exclude_none=True, exclude={"samples_per_prompt"})
        | {"steps": 1, "max_new_tokens": prompt + TOKENS[stage.name]}
        for stage in recipe.stages
    ]
    stages = json.loads(json.dumps(stages))  # YAML has no tuples
    return {"extends": name, "description": "One step", "rollout": SIZE, "stages": stages}


def trained(chain: Chain, segment: str, parent: Path) -> dict[str, Any]:
    """The metrics of a segment's step."""
    chain.train(segment, segment, parent)
    checkpoint = chain.checkpoint(segment)
    [row] = read_jsonl(checkpoint.parent / "metrics.jsonl")
    before, after = (read_json(path)["files"]["model.safetensors"] for path in (parent, checkpoint))
    assert after != before
    return row


@pytest.fixture(scope="module")
def nemo_rl(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The steps of its first two stages."""
    chain = made_chain(root, tmp_path_factory.mktemp("nemo"), toy("nemo-rl"), LAYOUTS, ("8k-1", "16k-1"))
    first = trained(chain, "8k-1", chain.work / "models" / "mini-base" / "model.json")
    return first, trained(chain, "16k-1", chain.checkpoint("8k-1"))


def test_nemo_rls_first_stage_has_no_reference_and_the_second_has_one(nemo_rl: tuple[Any, Any]) -> None:
    first, second = nemo_rl
    assert not first.get(KL)
    assert second[KL] is not None


def test_nemo_rls_learning_rate_has_risen_and_stays(nemo_rl: tuple[Any, Any]) -> None:
    assert [row["actor_lr"] for row in nemo_rl] == [pytest.approx(2e-6)] * 2


def test_weights_reach_the_sampler(nemo_rl: tuple[Any, Any]) -> None:
    assert all(row[VLLM_KL] < 0.01 for row in nemo_rl)


def test_one_step_of_junnyus(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    chain = made_chain(root, tmp_path_factory.mktemp("junnyu"), toy("junnyu"), LAYOUTS, ("8k-1",))
    row = trained(chain, "8k-1", chain.work / "models" / "mini-base" / "model.json")
    assert row[KL] is not None
    assert row["actor_lr"] == pytest.approx(1e-6)
