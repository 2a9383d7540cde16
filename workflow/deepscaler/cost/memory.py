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
OTHER = 5.3e9
"""Reference shard, a sleeping vLLM with its CUDA graphs, CUDA contexts, NCCL [assumed]."""
ENGINE_BYTES = 1.5e9
"""Of an engine beside its weights and cache: CUDA graphs, activations of a prefill [assumed]."""
SAFE_SHARE = 0.85
"""Of a card's memory: above it, blocks of many GB may find no contiguous room."""


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU at the peak of training."""

    logits: float
    activations: float
    states: float
    other: float

    @property
    def total(self) -> float:
        return self.logits + self.activations + self.states + self.other

    def verdict(self, card: Card) -> str:
        """fits, tight or too much."""
        share = self.total / card.memory
        return "fits" if share <= SAFE_SHARE else "tight" if share <= 1 else "too much"


def training_memory(tokens: int, gpus: int, zero_stage: int, temperature: float, shape: Shape) -> Memory:
    """At a micro-batch of `tokens` packed tokens, data-parallel over `gpus`."""
    copies = LOGIT_COPIES if temperature != 1 else LOGIT_COPIES_UNSCALED
    return Memory(
        logits=copies * 4 * tokens * shape.vocabulary,
        activations=2 * shape.layers * tokens * shape.hidden,  # one bf16 tensor a layer, with checkpointing
        states=state_memory(gpus, zero_stage, shape),
        other=OTHER,
    )


def state_memory(gpus: int, zero_stage: int, shape: Shape) -> float:
    """Weights (bf16), gradients (fp32), master copy and moments (fp32), as ZeRO shards them."""
    sharded_optimizer = 12 * shape.parameters / gpus
    gradients = 4 * shape.parameters / gpus
    if zero_stage == 3:
        weights = 2 * shape.parameters / gpus + 2 * min(LIVE_PARAMETERS, shape.parameters)
    else:
        weights = 2 * shape.parameters
    return weights + gradients + sharded_optimizer + REDUCE_BUCKET


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
