"""What LoRA trains of a model."""

from deepscaler.cost.hardware import Shape
from deepscaler.settings.recipe import Lora

STATE_BYTES = 12
"""Of DeepSpeed's state, for each trained parameter: fp32 weights and two moments."""


def adapter_parameters(lora: Lora, shape: Shape) -> int:
    """Of A (rank × inputs) and B (outputs × rank) in every layer."""
    query, key_value = shape.heads * shape.head_size, shape.key_value_heads * shape.head_size
    sizes = {
        "q_proj": shape.hidden + query,
        "k_proj": shape.hidden + key_value,
        "v_proj": shape.hidden + key_value,
        "o_proj": query + shape.hidden,
        "gate_proj": shape.hidden + shape.intermediate,
        "up_proj": shape.hidden + shape.intermediate,
        "down_proj": shape.intermediate + shape.hidden,
    }
    return shape.layers * lora.rank * sum(sizes[module] for module in lora.target_modules)


def state_bytes(adapters: int | None, shape: Shape) -> float:
    """Of one state; with LoRA it holds the frozen weights too, in bf16."""
    return shape.bytes + STATE_BYTES * adapters if adapters else STATE_BYTES * shape.parameters
