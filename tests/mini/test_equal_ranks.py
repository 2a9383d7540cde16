"""Training on two engines and two ranks comes out the same to the byte: gloo adds up in the ranks' order."""

from pathlib import Path

import pytest
from test_equal_training import add_scale, trained
from test_training_chain import Chain, base, chain  # noqa: F401  (fixtures)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]


def test_two_engines_and_two_ranks(chain: Chain, base: Path) -> None:  # noqa: F811
    add_scale(chain, "wide", gpus_per_node=2)
    assert trained(chain, base, "wide", "first") == trained(chain, base, "wide", "second")
