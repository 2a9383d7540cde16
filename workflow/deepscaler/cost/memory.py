"""Memory of a GPU that trains, at its peak: the start of the backward pass, in the logits. An estimate, not measured
on a GPU; the number of copies was measured on a CPU (docs/plan.md).
"""

from dataclasses import dataclass

from deepscaler.cost.hardware import Card, Shape

LOGIT_COPIES = 3
"""fp32 tensors of (tokens, vocabulary) alive at once in OpenRLHF 0.11.2: the logits (models/actor.py keeps them through
`output`), the cross-entropy's gradient, and its division by the temperature. An entropy bonus adds none: its compiled
backward recomputes the softmax, and its gradient is gone before the division."""
LOGIT_COPIES_UNSCALED = 2.5
"""At temperature 1, where nothing is divided: the gradient's bf16 copy instead."""
LIVE_PARAMETERS = 1e9
"""Gathered at once under ZeRO-3 (DeepSpeed's stage3_max_live_parameters)."""
REDUCE_BUCKET = 1.0e9
"""Bytes of DeepSpeed's buffer for gradients on their way."""
SLEEPING = 2.5e9
"""Of a sleeping vLLM, which keeps its CUDA graphs [assumed]."""
OTHER = 2.4e9
"""CUDA contexts and NCCL [assumed]."""
ENGINE_BYTES = 1.5e9
"""Of an engine beside its weights and cache: CUDA graphs, activations of a prefill [assumed]."""
GRADIENT, OPTIMIZER = 4, 12
"""Bytes for each trained parameter: the fp32 gradient; master copy and two moments, all fp32."""
NODE = 30e9
"""Of a node's memory: the driver, Ray, graders, the page cache that a launch needs [assumed]."""
NODE_FOR_GPU = 8e9
"""Of it, for each GPU: three processes with torch and CUDA (policy, reference, vLLM) [assumed]."""
SAFE_SHARE = 0.85
"""Of a card's memory: above it, blocks of many GB may find no contiguous room."""


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU at the peak of training."""

    logits: float
    activations: float
    states: float
    reference: float
    other: float

    @property
    def total(self) -> float:
        return self.logits + self.activations + self.states + self.reference + self.other

    def verdict(self, card: Card) -> str:
        """fits, tight or too much."""
        share = self.total / card.memory
        return "fits" if share <= SAFE_SHARE else "tight" if share <= 1 else "too much"


def training_memory(
    tokens: int,
    gpus: int,
    zero_stage: int,
    temperature: float,
    shape: Shape,
    *,
    trained: int | None = None,
    offload: bool = False,
    reference: bool = True,
) -> Memory:
    """At a micro-batch of `tokens` packed tokens, data-parallel over `gpus`.

    `trained`: parameters of adapters, None where all are trained. `offload`: the optimizer is in the node's memory.
    """
    copies = LOGIT_COPIES if temperature != 1 else LOGIT_COPIES_UNSCALED
    return Memory(
        logits=copies * 4 * tokens * shape.vocabulary,
        activations=2 * shape.layers * tokens * shape.hidden,  # one bf16 tensor a layer, with checkpointing
        states=state_memory(gpus, zero_stage, shape, trained, offload),
        reference=whole_or_shard(gpus, zero_stage, shape) if reference else 0.0,
        other=SLEEPING + OTHER,
    )


def state_memory(gpus: int, zero_stage: int, shape: Shape, trained: int | None = None, offload: bool = False) -> float:
    """Weights (bf16), and of what is trained gradients, master copy and moments, as ZeRO shards them.

    With `offload` DeepSpeed adds up gradients in the node's memory too.
    """
    optimizer = 0.0 if offload else (GRADIENT + OPTIMIZER) * (trained or shape.parameters) / gpus
    live = 2 * min(LIVE_PARAMETERS, shape.parameters) if zero_stage == 3 else 0.0
    return whole_or_shard(gpus, zero_stage, shape) + live + optimizer + REDUCE_BUCKET


def whole_or_shard(gpus: int, zero_stage: int, shape: Shape) -> float:
    """The weights of one model in bf16 on one GPU; only ZeRO 3 cuts them."""
    return shape.bytes / gpus if zero_stage == 3 else shape.bytes


def rollout_memory(gpus: int, zero_stage: int, utilisation: float, reference: bool, shape: Shape, card: Card) -> float:
    """Of one GPU while it samples: vLLM's share, and what of trainer and reference does not go to sleep."""
    models = 2 if reference else 1
    return utilisation * card.memory + models * whole_or_shard(gpus, zero_stage, shape) + OTHER


def node_memory(gpus_per_node: int, gpus: int, shape: Shape, trained: int | None = None) -> float:
    """Of a node: what it takes whether the optimizer lives there or only sleeps there, and vLLM's sleeping weights."""
    optimizer = (GRADIENT + OPTIMIZER) * (trained or shape.parameters) / gpus
    return NODE + gpus_per_node * (NODE_FOR_GPU + shape.bytes + optimizer)


def largest_sequence(max_new_tokens: int, max_prompt_tokens: int) -> int:
    """A micro-batch cannot be smaller than the longest sequence of the stage: a sequence is never split."""
    return max_new_tokens + max_prompt_tokens


def cache_sequences(length: int, utilisation: float, shape: Shape, card: Card) -> int:
    """Full-length sequences whose keys and values an engine holds at once."""
    return cache_sequences_in(utilisation * card.memory, length, shape)


def cache_sequences_in(memory: float, length: int, shape: Shape) -> int:
    """The same of an engine that may use so many bytes; 0 where its weights leave no room."""
    room = memory - shape.bytes - ENGINE_BYTES
    return max(0, int(room / (length * shape.cache_bytes)))
