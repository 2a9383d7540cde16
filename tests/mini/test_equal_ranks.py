"""Training on two engines and two ranks comes out the same to the byte, wherever a sample is drawn.

gloo adds up in the ranks' order, and a sample's tokens follow from its own seed.
"""

import json
from pathlib import Path

import pytest
from test_equal_training import add_scale, trained
from test_training_chain import PROMPTS, Chain, base, before, chain  # noqa: F401  (fixtures)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

SAMPLES = 4
"""Of a prompt, in the chain's recipe."""


def test_two_engines_and_two_ranks(chain: Chain, base: Path) -> None:  # noqa: F811
    """Once with each prompt's samples on both engines, once as upstream sends them, a prompt to an engine."""
    add_scale(chain, "wide", gpus_per_node=2)
    made, shares = {}, {}
    for name, whole in (("spread", ""), ("whole", "1")):
        notes = chain.root / f"{name}.shares"
        noted = {"PYTHONPATH": before("shares"), "CHAIN_SHARES": str(notes), "WHOLE_PROMPTS": whole}
        made[name] = trained(chain, base, "wide", name, **noted)
        shares[name] = [json.loads(line) for line in notes.read_text().splitlines()]
    assert made["spread"] == made["whole"]
    assert len(shares["spread"]) == 4 * PROMPTS
    assert set(map(tuple, shares["spread"])) == {(SAMPLES // 2, SAMPLES // 2)}
    assert set(map(tuple, shares["whole"])) == {(SAMPLES, 0), (0, SAMPLES)}
