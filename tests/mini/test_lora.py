"""LoRA on the real engines: what the sampler holds is what is exported, kills change nothing, stages start anew.

The chain of test_training_chain, with adapters and their dropout.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from deepscaler.files import read_json, sha256
from deepscaler.training.watch.measured import MEASURED
from deepscaler.training.watch.metrics import KL, TIMES, VLLM_KL
from test_training_chain import (  # fixtures among them
    LAYOUT,
    RECIPE,
    Chain,
    adam_steps,
    base,  # noqa: F401
    before,
    chain,  # noqa: F401
    metrics,
    started_at,
    tensors,
)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(2400)]

LORA = {
    **RECIPE,
    "description": "The chain's test with adapters",
    "optimizer": {"learning_rate": 2.0e-2},
    "lora": {"rank": 4, "alpha": 8, "dropout": 0.1},
    "stages": [
        {"name": "8k", "max_new_tokens": 16, "steps": 4},
        {"name": "16k", "max_new_tokens": 24, "steps": 2},
    ],
}
FUSED = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "gate_up_proj": ["gate_proj", "up_proj"]}
"""vLLM's layers, and those of the checkpoint that it stacks in each."""


@pytest.fixture(scope="module")
def adapted(chain: Chain) -> Chain:  # noqa: F811
    config = chain.root / "config"
    scale = yaml.safe_load((config / "scales" / "tiny.yaml").read_text())
    layouts = {"8k": {**LAYOUT, "segment_steps": 2}, "16k": {**LAYOUT, "segment_steps": 2, "offload_optimizer": True}}
    scale["training"] |= {"recipe": "adapted", "layout": layouts}
    (config / "scales" / "adapted.yaml").write_text(yaml.safe_dump(scale))
    (config / "recipes" / "adapted.yaml").write_text(yaml.safe_dump(LORA))
    return chain


def train(adapted: Chain, name: str, segment: str, parent: Path, **more: Any) -> Path:
    """Folder of the checkpoint that a launch makes; those of the chain itself are in runs `whole`."""
    runs = more.pop("runs", "whole")
    adapted.train(name, segment, parent, scale="adapted", runs=runs, checkpoints=f"{runs}-out", **more)
    return adapted.checkpoint(segment, f"{runs}-out").parent


@pytest.fixture(scope="module")
def first(adapted: Chain, base: Path) -> Path:  # noqa: F811
    """8k-1, with what the sampler holds in the end."""
    received = str(adapted.root / "received.pt")
    return train(adapted, "first", "8k-1", base, PYTHONPATH=before("received"), CHAIN_RECEIVED=received)


@pytest.fixture(scope="module")
def second(adapted: Chain, first: Path) -> Path:
    return train(adapted, "second-segment", "8k-2", first / "checkpoint.json")


@pytest.fixture(scope="module")
def next_stage(adapted: Chain, second: Path) -> Path:
    """16k-1, whose optimizer is in the node's memory."""
    return train(adapted, "next-stage", "16k-1", second / "checkpoint.json")


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in (TIMES, MEASURED)]
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def test_the_sampler_holds_the_weights_that_are_exported(adapted: Chain, first: Path, base: Path) -> None:  # noqa: F811
    import torch

    held = torch.load(adapted.root / "received.pt", map_location="cpu", weights_only=False)
    exported, started = tensors(first / "model.safetensors"), tensors(base.with_name("model.safetensors"))
    assert exported.keys() == started.keys()
    for name, tensor in held.items():
        fused = next((layer for layer in FUSED if f".{layer}." in name), None)
        names = [name.replace(fused, part) for part in FUSED[fused]] if fused else [name]
        assert torch.equal(tensor, torch.cat([exported.pop(part) for part in names])), name
    assert set(exported) <= {"lm_head.weight"}, "every weight has reached the sampler, or is tied to one that has"
    compared = read_json(adapted.run_folder("8k-1", "whole") / "weights.json")
    assert compared == {"tensors": len(held), "engines": 1, "differing": []}


def test_only_weights_with_adapters_change(first: Path, base: Path) -> None:  # noqa: F811
    exported, started = tensors(first / "model.safetensors"), tensors(base.with_name("model.safetensors"))
    changed = {name for name in exported if not exported[name].equal(started[name])}
    assert changed == {name for name in exported if name.endswith("_proj.weight")}


def test_the_adapters_beside_the_weights_make_them_of_the_start(first: Path, base: Path) -> None:  # noqa: F811
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    start = AutoModelForCausalLM.from_pretrained(base.parent, dtype="float32")
    merged = PeftModel.from_pretrained(start, str(first / "adapter")).merge_and_unload().state_dict()
    exported = tensors(first / "model.safetensors")
    assert all(merged[name].to(tensor.dtype).equal(tensor) for name, tensor in exported.items())


def test_weights_withheld_are_found_out(adapted: Chain, first: Path, base: Path) -> None:  # noqa: F811
    withheld = train(adapted, "lora-withheld", "8k-1", base, runs="lora-withheld", PYTHONPATH=before("withheld"))
    arrived, apart = (
        [abs(row[VLLM_KL]) for row in metrics(folder / "checkpoint.json")] for folder in (first, withheld)
    )
    assert apart[0] == pytest.approx(arrived[0], abs=2e-3)
    assert max(arrived) < 5e-3
    assert apart[1] > 10 * max(arrived)


def test_a_killed_run_gives_the_bytes_of_an_undisturbed_one(adapted: Chain, first: Path, base: Path) -> None:  # noqa: F811
    """Killed between the two updates of step 2: its first, and the masks of its dropout, are made again."""
    where = {"scale": "adapted", "runs": "killed", "checkpoints": "killed-out"}
    process = adapted.start("cut", "8k-1", base, PYTHONPATH=before("held"), CHAIN_HOLD="update:3", **where)
    adapted.kill_when("cut", process, adapted.held("cut").exists)
    made = train(adapted, "killed", "8k-1", base, runs="killed")
    assert started_at(adapted.printed["killed"]) == 1
    assert {"model.safetensors", "adapter/adapter_model.safetensors"} <= digests(made).keys()
    assert digests(made) == digests(first)


def test_a_segment_carries_adapters_optimizer_and_reference_on(adapted: Chain, second: Path, base: Path) -> None:  # noqa: F811
    folder = adapted.run_folder("8k-2", "whole")
    assert adam_steps(folder, 4) == {8}
    assert sha256(folder / "start" / "model.safetensors") == sha256(base.with_name("model.safetensors"))
    assert metrics(second / "checkpoint.json")[0][KL] > 1e-4  # against the stage's start, not the segment's


def test_a_stage_starts_from_merged_weights_with_adapters_anew(adapted: Chain, second: Path, next_stage: Path) -> None:
    folder = adapted.run_folder("16k-1", "whole")
    assert {path.name for path in (folder / "start").iterdir()} >= {"model.safetensors", "config.json"}
    assert not (folder / "start" / "adapter").exists()
    assert sha256(folder / "start" / "model.safetensors") == sha256(second / "model.safetensors")
    assert adam_steps(folder, 2) == {4}
    rows = metrics(next_stage / "checkpoint.json")
    assert rows[0][KL] < metrics(second / "checkpoint.json")[0][KL]
    assert max(abs(row[VLLM_KL]) for row in rows) < 5e-3  # the second step's are of weights that were sent
    assert sha256(next_stage / "model.safetensors") != sha256(second / "model.safetensors")
