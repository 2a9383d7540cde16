"""Rotary frequencies that `zero.Init` rounded are computed anew, to the bit as without it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from deepscaler.training.openrlhf import rotary
from transformers import Qwen2Config, Qwen2ForCausalLM

CONFIG = Qwen2Config(
    vocab_size=8,
    hidden_size=16,
    intermediate_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=2,
    max_position_embeddings=25_600,
)


def frequencies(model: Any) -> list[torch.Tensor]:
    return [part for name, part in model.named_buffers() if name.rpartition(".")[2] in rotary.NAMES]


@pytest.mark.parametrize("rounds", [True, False])
def test_a_models_frequencies_are_in_fp32(rounds: bool) -> None:
    plain = Qwen2ForCausalLM(CONFIG)

    class Actor:
        def __init__(self, path: str) -> None:
            self.model = Qwen2ForCausalLM(CONFIG)
            if rounds:
                for part in self.model.modules():
                    for name in set(rotary.NAMES) & set(vars(part).get("_buffers", {})):
                        setattr(part, name, getattr(part, name).bfloat16())

    if rounds:
        assert any(not a.equal(b.float()) for a, b in zip(*map(frequencies, (plain, Actor("").model)), strict=True))
    rotary.keep_frequencies(SimpleNamespace(Actor=Actor))
    whole = Actor("base").model
    assert len(frequencies(whole)) == len(rotary.NAMES)
    assert all(a.equal(b) and b.dtype == torch.float32 for a, b in zip(*map(frequencies, (plain, whole)), strict=True))
