"""Training comes out the same to the byte, on the real engines: killed in between, and with prompts filtered out.

The chain of test_training_chain, short enough for every change: three launches.
"""

from pathlib import Path

import pytest
import yaml
from deepscaler.files import sha256
from deepscaler.training.run.checkpoint import METRICS
from deepscaler.training.watch.metrics import TIMES, read_rows
from test_training_chain import RECIPE, STAGES, Chain, base, before, chain, started_at  # noqa: F401  (fixtures)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

FILTERED = {
    "extends": "tiny",
    "description": "The chain's test with dynamic sampling",
    "filtering": {"enabled": True, "low": 0.2, "high": 0.8, "draws": 1.0},
}
"""So narrow that the test's reward, in halves, has groups dropped in most steps."""


def add_scale(chain: Chain, name: str, **layout: int) -> None:  # noqa: F811
    config = chain.root / "config"
    scale = yaml.safe_load((config / "scales" / "tiny.yaml").read_text())
    scale["training"] |= {"recipe": name, "layout": {stage: STAGES[stage] | layout for stage in STAGES}}
    recipe = FILTERED if name == "filtered" else RECIPE
    (config / "scales" / f"{name}.yaml").write_text(yaml.safe_dump(scale))
    (config / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(recipe))


def trained(chain: Chain, base: Path, scale: str, name: str, **environment: str) -> dict[str, str]:  # noqa: F811
    """8k-1 from where it stands to its end, in the folders `name`; the digests of its checkpoint's files."""
    chain.train(name, "8k-1", base, scale=scale, runs=name, checkpoints=f"{name}-out", **environment)
    return digests(chain.checkpoint("8k-1", f"{name}-out").parent)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != TIMES}


@pytest.fixture(scope="module")
def quiet(chain: Chain, base: Path) -> dict[str, str]:  # noqa: F811
    add_scale(chain, "filtered", save_steps=2)
    return trained(chain, base, "filtered", "quiet")


@pytest.fixture(scope="module")
def killed(chain: Chain, base: Path, quiet: dict[str, str]) -> dict[str, str]:  # noqa: F811
    """SIGKILL to everything between the two updates of step 3, which is then made again."""
    where = {"scale": "filtered", "runs": "killed", "checkpoints": "killed-out"}
    process = chain.start("cut", "8k-1", base, PYTHONPATH=before("held"), CHAIN_HOLD="update:5", **where)
    chain.kill_when("cut", process, chain.held("cut").exists)
    made = trained(chain, base, "filtered", "killed")
    assert started_at(chain.printed["killed"]) == 2
    return made


def test_a_killed_run_gives_the_bytes_of_an_undisturbed_one(quiet: dict[str, str], killed: dict[str, str]) -> None:
    assert {"model.safetensors", "checkpoint.json", METRICS} <= quiet.keys()
    assert killed == quiet


def test_prompts_were_filtered_out(chain: Chain, quiet: dict[str, str]) -> None:  # noqa: F811
    """Or the tests above would say nothing of those that came in their place."""
    rows = list(read_rows(chain.checkpoint("8k-1", "quiet-out").with_name(METRICS)))
    samples = len((chain.root / "quiet.seen").read_text().splitlines())
    assert samples > sum(row["rollout/num_samples"] for row in rows)


def test_the_weights_moved(base: Path, quiet: dict[str, str]) -> None:  # noqa: F811
    assert quiet["model.safetensors"] != sha256(base.with_name("model.safetensors"))
