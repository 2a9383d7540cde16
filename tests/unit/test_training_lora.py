"""What leaves a trainer with LoRA: whole weights under the model's own names, equal to what peft merges."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deepscaler import settings
from deepscaler.cost.adapters import adapter_parameters
from deepscaler.cost.hardware import Shape
from deepscaler.settings.recipe import Lora
from deepscaler.training.openrlhf import lora
from deepscaler.training.openrlhf.lora import WholeModel

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
SHAPE = Shape(2, 32, 48, 4, 2, 64, head_size=8)


def adapted(targets: list[str], tied: bool = False) -> tuple[dict[str, Any], Any]:
    """The weights of a tiny model in bf16, and the model with adapters that change it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=tied)).to(torch.bfloat16)
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    found = get_peft_model(model, LoraConfig(r=3, lora_alpha=12, target_modules=targets)).to(torch.bfloat16)
    for name, parameter in found.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return start, found


@pytest.fixture(scope="module")
def every_layer() -> list[str]:
    found = settings.load_recipe("lora").lora
    assert found is not None
    return list(found.target_modules)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("targets", [None, ["q_proj", "down_proj"]])
def test_whole_weights_are_those_that_peft_merges(every_layer: list[str], targets: Any, tied: bool) -> None:
    start, model = adapted(targets or every_layer, tied)
    whole = WholeModel(model).state_dict()
    assert list(whole) == list(start)
    changed = {name for name in whole if not whole[name].equal(start[name])}
    assert changed == {name for name in whole if name.split(".")[-2] in (targets or every_layer) and "weight" in name}
    merged = model.float().merge_and_unload().state_dict()
    assert all(whole[name].equal(merged[name].to(whole[name].dtype)) for name in whole)


def test_looking_changes_nothing(every_layer: list[str]) -> None:
    """Merging into the frozen weights and taking it off again would leave them rounded otherwise."""
    _, model = adapted(every_layer)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for _ in range(3):
        WholeModel(model).state_dict()
    assert all(parameter.equal(before[name]) for name, parameter in model.named_parameters())


def test_upstream_sends_the_whole_model_and_gets_its_actor_back(every_layer: list[str]) -> None:
    start, model = adapted(every_layer)
    sent: dict[str, Any] = {}

    class Trainer:
        def __init__(self) -> None:
            self.actor = SimpleNamespace(model=SimpleNamespace(module=model))
            self.strategy = SimpleNamespace(args=SimpleNamespace(ds=SimpleNamespace(zero_stage=2)))

        def broadcast_to_vllm(self) -> None:
            sent.update((name, p.data) for name, p in self.actor.model.module.named_parameters() if p.requires_grad)
            raise ConnectionError

    module = SimpleNamespace(ActorPPOTrainer=Trainer)
    lora.send_whole_weights(module)
    trainer = Trainer()
    with pytest.raises(ConnectionError):
        trainer.broadcast_to_vllm()
    assert sent.keys() == start.keys()
    assert trainer.actor.model.module is model


def test_adapters_are_saved_without_a_path_and_in_one_order(every_layer: list[str], tmp_path: Path) -> None:
    _, model = adapted(every_layer)
    WholeModel(model).save_adapter(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / lora.ADAPTER_CONFIG).read_text())
    assert config["base_model_name_or_path"] is None
    assert config["target_modules"] == sorted(every_layer)
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (3, 12, "LORA")


def test_another_peft_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lora, "MADE_FOR", "0.0.1")
    with pytest.raises(RuntimeError, match=r"lora\.py was made for peft 0\.0\.1, not "):
        WholeModel(None)


def test_masks_differ_from_step_to_step_and_rank_to_rank() -> None:
    places = [(42, 0, 0, 0), (42, 0, 2, 0), (42, 12, 0, 0), (42, 0, 0, 1), (1, 0, 0, 0)]
    seeds = [lora.dropout_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("targets", [None, ["k_proj", "gate_proj"]])
def test_the_plan_counts_the_adapters_that_peft_makes(every_layer: list[str], targets: Any) -> None:
    _, model = adapted(targets or every_layer)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    recipe = Lora(rank=3, alpha=12, dropout=0.0, target_modules=targets or every_layer)
    assert adapter_parameters(recipe, SHAPE) == trained
