"""On the real engines: one tensor that is sent and not loaded ends the launch in its first step, and only it is named.

At ZeRO 2 and 3, whose parameters are cut over the ranks, and with LoRA, whose weights are merged as they are sent. That
all others are found equal is the positive half of the test.
"""

import pytest
import yaml
from deepscaler.files import read_json
from test_lora import LORA
from test_training_chain import (  # fixtures among them
    LAYOUT,
    Chain,
    base,  # noqa: F401
    before,
    chain,  # noqa: F401
    tensors,
)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(2400)]

WITHHELD, FUSED = "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.gate_up_proj.weight"
CASES = {"zero2": ("tiny", 2, 1), "zero3": ("tiny", 3, 2), "merged": ("merged", 2, 1)}
"""Scale → recipe, ZeRO stage, and ranks, with an engine each."""


@pytest.fixture(scope="module")
def scales(chain: Chain) -> Chain:  # noqa: F811
    config = chain.root / "config"
    (config / "recipes" / "merged.yaml").write_text(yaml.safe_dump({**LORA, "description": "Merged weights"}))
    for name, (recipe, zero, ranks) in CASES.items():
        scale = yaml.safe_load((config / "scales" / "tiny.yaml").read_text())
        layout = {**LAYOUT, "segment_steps": 2, "zero_stage": zero, "gpus_per_node": ranks}
        scale["training"] |= {"recipe": recipe, "layout": {"8k": layout, "16k": layout}}
        (config / "scales" / f"{name}.yaml").write_text(yaml.safe_dump(scale))
    return chain


@pytest.mark.parametrize("scale", CASES)
def test_a_tensor_that_is_not_loaded_ends_the_launch_and_is_named(scales: Chain, base, scale: str) -> None:  # noqa: F811
    engines = CASES[scale][-1]
    numbers = ", ".join(map(str, range(engines)))
    environment = {"PYTHONPATH": before("withheld"), "CHAIN_WITHHELD": WITHHELD}
    process = scales.start(scale, "8k-1", base, scale=scale, runs=scale, checkpoints=f"{scale}-out", **environment)
    assert scales.finish(scale, process) == 1
    folder = scales.run_folder("8k-1", scale)
    sent = tensors(base.with_name("model.safetensors"))
    fused = {name for name in sent if any(f".{part}." in name for part in ("k_proj", "v_proj", "up_proj"))}
    tied = "lm_head.weight" in sent and yaml.safe_load(base.with_name("config.json").read_text())["tie_word_embeddings"]
    count = len(sent) - len(fused) - tied
    assert read_json(folder / "weights.json") == {"tensors": count, "engines": engines, "differing": [FUSED]}
    expected = f"the sampler's weights are not the trainer's in 1 of {count} tensors (engine {numbers}): {FUSED}"
    assert expected in scales.printed[scale]
    assert not (folder / "metrics.jsonl").exists()
