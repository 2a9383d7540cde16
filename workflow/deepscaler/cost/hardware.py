"""Shapes of models and of GPUs, from their published configurations and data sheets."""

from dataclasses import dataclass
from functools import cached_property

from deepscaler.errors import refuse_unknown


@dataclass(frozen=True)
class Shape:
    """A Qwen2 decoder with untied input and output embeddings, held in bf16."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_value_heads: int
    vocabulary: int
    head_size: int = 128

    @cached_property
    def layer_matmul(self) -> int:
        """Weights of all layers that a token is multiplied with."""
        query_and_output = 2 * self.hidden * self.heads * self.head_size
        key_and_value = 2 * self.hidden * self.key_value_heads * self.head_size
        return self.layers * (query_and_output + key_and_value + 3 * self.hidden * self.intermediate)

    @cached_property
    def head_matmul(self) -> int:
        """Weights of the output layer."""
        return self.hidden * self.vocabulary

    @cached_property
    def parameters(self) -> int:
        biases = self.layers * (self.heads + 2 * self.key_value_heads) * self.head_size
        norms = (2 * self.layers + 1) * self.hidden
        return self.layer_matmul + 2 * self.head_matmul + biases + norms

    @property
    def bytes(self) -> int:
        """Of the weights, in bf16: what an export takes on disk."""
        return 2 * self.parameters

    @property
    def decode_bytes(self) -> int:
        """Weights read for one decode step."""
        return 2 * (self.layer_matmul + self.head_matmul)

    @property
    def cache_bytes(self) -> int:
        """Keys and values of one token, in bf16."""
        return 2 * self.layers * 2 * self.key_value_heads * self.head_size

    @property
    def attention_flop(self) -> int:
        """Causal attention, forward: FLOP per token and per token of its sequence's length."""
        return 2 * self.layers * self.heads * self.head_size


R1_QWEN_1_5B = Shape(28, 1536, 8960, 12, 2, 151_936)
"""config.json of deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B (tie_word_embeddings false)."""
QWEN_2_5_7B = Shape(28, 3584, 18_944, 28, 4, 152_064)
"""config.json of Qwen/Qwen2.5-Math-7B."""


def shape_of(billions: float) -> Shape:
    """The shape of a published system, from its size in billions of parameters."""
    return R1_QWEN_1_5B if billions < 4 else QWEN_2_5_7B


@dataclass(frozen=True)
class Card:
    """One GPU, from its maker's data sheet."""

    title: str
    flop_per_second: float
    """Dense bf16."""
    bytes_per_second: float
    """Of its memory."""
    memory: float
    """Bytes that a process can use."""


GIB = 2**30
CARDS = {
    "a100": Card("A100-80GB SXM", 312e12, 2.04e12, 79.15 * GIB),
    "h100": Card("H100-80GB SXM", 989e12, 3.35e12, 79.15 * GIB),
    "h200": Card("H200-141GB SXM", 989e12, 4.8e12, 139.8 * GIB),
    "l4": Card("L4-24GB", 121e12, 0.30e12, 22.0 * GIB),
    "4090": Card("RTX 4090-24GB", 165e12, 1.008e12, 23.5 * GIB),
}


def card(name: str) -> Card:
    if name not in CARDS:
        raise refuse_unknown("GPU", name, list(CARDS))
    return CARDS[name]
