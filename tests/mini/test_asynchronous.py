"""Asynchronous training on the real engines: rollouts drawn while the policy trains, killed, resumed.

Two "GPUs": one engine, one trainer. The chain of test_training_chain; two launches, and a third with new weights in the
middle of samples and a cache of 8 bits.
"""

from pathlib import Path

import pytest
import yaml
from deepscaler.training.openrlhf.asynchronous import AGE, MIXED, OLDEST
from deepscaler.training.run.checkpoint import METRICS
from deepscaler.training.watch.metrics import VLLM_KL, Row, read_rows
from test_training_chain import PROMPTS, RECIPE, STAGES, Chain, base, before, chain, started_at  # noqa: F401

pytestmark = [pytest.mark.engine, pytest.mark.timeout(2400)]


def add_scale(chain: Chain, name: str, **rollout: object) -> None:  # noqa: F811
    config = chain.root / "config"
    scale = yaml.safe_load((config / "scales" / "tiny.yaml").read_text())
    scale["training"] |= {"recipe": name, "layout": {stage: STAGES[stage] | {"gpus_per_node": 2} for stage in STAGES}}
    (config / "scales" / f"{name}.yaml").write_text(yaml.safe_dump(scale))
    recipe = {**RECIPE, "rollout": {**RECIPE["rollout"], **rollout}}  # type: ignore[dict-item]
    (config / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(recipe))


@pytest.fixture(scope="module")
def resumed(chain: Chain, base: Path) -> list[Row]:  # noqa: F811
    """SIGKILL to everything between the two updates of step 3, while the rollouts of step 4 are drawn; then resumed."""
    add_scale(chain, "async", asynchronous={"enabled": True})
    where = {"scale": "async", "runs": "async", "checkpoints": "async-out"}
    process = chain.start("cut", "8k-1", base, PYTHONPATH=before("held"), CHAIN_HOLD="update:5", **where)
    chain.kill_when("cut", process, chain.held("cut").exists)
    chain.train("resumed", "8k-1", base, **where)
    assert started_at(chain.printed["resumed"]) == 2
    return list(read_rows(chain.checkpoint("8k-1", "async-out").with_name(METRICS)))


def test_a_killed_run_goes_on_after_its_last_state(chain: Chain, resumed: list[Row]) -> None:  # noqa: F811
    """With the prompts of that step: what lay in the queue was lost, and is drawn again."""
    assert [row["step"] for row in resumed] == [1, 2, 3, 4]
    first, second = chain.seen("cut"), chain.seen("resumed")
    assert len(second) == 2 * PROMPTS
    assert set(second[:PROMPTS]) == set(first[2 * PROMPTS : 3 * PROMPTS])
    assert set(first[3 * PROMPTS :]) <= set(second[PROMPTS:])


def test_a_rollouts_weights_are_a_step_old(resumed: list[Row]) -> None:
    """But for the first of a launch, for which there is nothing to wait."""
    assert [row[AGE] for row in resumed] == [0, 1, 0, 1]
    assert [row[OLDEST] for row in resumed] == [0, 1, 0, 1]
    assert [row[MIXED] for row in resumed] == [0] * 4


def test_the_older_the_weights_the_further_sampler_and_trainer_are_apart(resumed: list[Row]) -> None:
    fresh, old = ([abs(row[VLLM_KL]) for row in resumed if row[AGE] == age] for age in (0, 1))
    assert max(fresh) < min(old)


def test_partial_rollouts_with_a_cache_of_8_bits(chain: Chain, base: Path) -> None:  # noqa: F811
    add_scale(chain, "partial", cache="fp8", asynchronous={"enabled": True, "partial": True, "ahead": 2})
    chain.train("partial", "8k-1", base, scale="partial", runs="partial", checkpoints="partial-out")
    rows = list(read_rows(chain.checkpoint("8k-1", "partial-out").with_name(METRICS)))
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert 1 <= max(row[OLDEST] for row in rows) <= 3
    [log] = chain.run_folder("8k-1", "partial").glob("logs/*/driver.log")
    assert "kv_cache_dtype='fp8'" in log.read_text() or "kv_cache_dtype=fp8" in log.read_text()
