"""One optimizer update by OpenRLHF's trainer class: packing, micro-batches and ZeRO stages give the same one.

With micro-batches packed to a number of tokens, upstream leaves DeepSpeed to think that each is a whole update; at ZeRO
2 all but the last are then lost. The hooks that a segment's workers have mend it, and what is logged.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deepscaler.training.openrlhf import cpu

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1200)]

PROBE = Path(__file__).with_name("update_probe.py")
ONE, SEVERAL = 100_000, 250
Updates = dict[tuple[int, int, str, bool], dict[str, Any]]


@pytest.fixture(scope="module")
def updates(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Updates:
    """Every case of the probe, by (ZeRO stage, tokens a micro-batch, how, packed)."""
    import torch
    from deepscaler import settings
    from deepscaler.miniature.tokenizer import build_tokenizer
    from deepscaler.models.distill_base import make_model, save
    from deepscaler.settings.models import Distilled

    folder = tmp_path_factory.mktemp("update")
    entry = settings.systems()["mini-base"]
    assert isinstance(entry, Distilled)
    torch.manual_seed(0)
    tokenizer = build_tokenizer(entry.prompting.separator + entry.prompting.suffix)
    save(make_model(entry.distillation.architecture, tokenizer), tokenizer, folder / "model")
    own = {
        "PYTHONPATH": str(cpu.PATH),
        "TORCHDYNAMO_DISABLE": "1",
        "OMP_NUM_THREADS": "2",
        "DEEPSCALER_ROOT": str(root),
    }
    run = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROBE), str(folder / "model"), str(folder / "out.json")],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    cases = json.loads((folder / "out.json").read_text())
    return {(case["zero"], case["tokens"], case["how"], case["packed"]): case for case in cases}


def same(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Cosine of two changes of the weights."""
    import torch

    return float(torch.nn.functional.cosine_similarity(torch.tensor(a["change"]), torch.tensor(b["change"]), dim=0))


@pytest.mark.parametrize("zero", [2, 3])
def test_several_micro_batches_make_the_update_of_one(updates: Updates, zero: int) -> None:
    one, several = updates[zero, ONE, "hooked", True], updates[zero, SEVERAL, "hooked", True]
    assert (one["micro_batches"], several["micro_batches"] > 2) == (1, True)
    assert several["status"]["actor_grad_norm"] == pytest.approx(one["status"]["actor_grad_norm"], rel=1e-2)
    assert same(one, several) > 0.99


def test_upstream_alone_loses_gradients_at_zero_2(updates: Updates) -> None:
    """The negative control: without the hook the test above would not hold. At ZeRO 3 upstream is right."""
    one, several = updates[2, ONE, "plain", True], updates[2, SEVERAL, "plain", True]
    assert several["status"]["actor_grad_norm"] < 0.8 * one["status"]["actor_grad_norm"]
    assert same(one, several) < 0.95
    third, thirds = updates[3, ONE, "plain", True], updates[3, SEVERAL, "plain", True]
    assert thirds["status"]["actor_grad_norm"] == pytest.approx(third["status"]["actor_grad_norm"], rel=1e-2)


@pytest.mark.parametrize("zero", [2, 3])
@pytest.mark.parametrize("key", ["kl", "entropy_loss"])
def test_what_is_logged_does_not_depend_on_the_micro_batches(updates: Updates, zero: int, key: str) -> None:
    one, several = updates[zero, ONE, "hooked", True], updates[zero, SEVERAL, "hooked", True]
    plain = updates[zero, SEVERAL, "plain", True]
    assert several["status"][key] == pytest.approx(one["status"][key], rel=0.05)
    assert plain["status"][key] < 0.6 * one["status"][key]


def test_a_recipe_that_corrects_nothing_still_sees_the_sampler(updates: Updates) -> None:
    """The update is upstream's without correction, bit for bit; and the divergence, here 0.1, is logged."""
    off, watched, corrected = (updates[2, ONE, how, True] for how in ("off", "watched", "corrected"))
    assert watched["change"] == off["change"]
    assert watched["status"]["actor_grad_norm"] == off["status"]["actor_grad_norm"]
    assert "vllm_kl" not in off["status"]
    assert watched["status"]["vllm_kl"] == pytest.approx(0.1, abs=0.02)
    assert corrected["change"] != off["change"]


@pytest.mark.parametrize(("zero", "tokens"), [(2, ONE), (2, SEVERAL), (3, SEVERAL)])
def test_log_probabilities_of_a_share_make_the_same_update(updates: Updates, zero: int, tokens: int) -> None:
    """To the bit, and what is logged is the mean over that share."""
    off, watched, shared = (updates[zero, tokens, how, True] for how in ("off", "watched", "shared"))
    assert shared["digest"] == watched["digest"] == off["digest"]
    assert shared["status"]["actor_grad_norm"] == off["status"]["actor_grad_norm"]
    assert shared["status"]["vllm_kl"] == pytest.approx(shared["measured"], rel=1e-4)
    assert watched["status"]["vllm_kl"] != pytest.approx(shared["measured"], rel=1e-4)
    assert not any("share" in key for key in shared["status"])


def test_zero_stages_agree(updates: Updates) -> None:
    assert same(updates[2, ONE, "hooked", True], updates[3, ONE, "hooked", True]) > 0.99


def test_packing_changes_nothing(updates: Updates) -> None:
    packed, padded = updates[2, ONE, "plain", True], updates[2, ONE, "plain", False]
    assert packed["status"]["actor_grad_norm"] == pytest.approx(padded["status"]["actor_grad_norm"], rel=1e-2)
    assert same(packed, padded) > 0.99


@pytest.mark.parametrize("zero", [2, 3])
@pytest.mark.parametrize("tokens", [ONE, SEVERAL])
def test_an_optimizer_in_the_nodes_memory_makes_the_same_update(updates: Updates, zero: int, tokens: int) -> None:
    """At ZeRO 2 DeepSpeed adds up the gradients of micro-batches in bf16 there, so several are only nearly the same."""
    here, there = updates[zero, tokens, "hooked", True], updates[zero, tokens, "offloaded", True]
    assert there["status"]["actor_grad_norm"] == pytest.approx(here["status"]["actor_grad_norm"], rel=1e-2)
    assert same(here, there) > 0.99
