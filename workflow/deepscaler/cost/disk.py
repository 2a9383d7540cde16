"""What a scale leaves on disk, and the most that it holds at once."""

from dataclasses import dataclass

from deepscaler.cost.adapters import state_bytes
from deepscaler.cost.assumptions import UNIFORM_SHARE
from deepscaler.cost.hardware import Shape
from deepscaler.cost.step import Work

SAMPLE_BYTES = 3.2
"""Of text for each sampled token, uncompressed [assumed]; Parquet's zstd makes it about 0.9."""
COMPRESSED = 0.28
ROLLOUT_BYTES = 5.0
"""Of a kept rollout for each sampled token: its number and its log-probability, compressed. 4.7 on the miniature, of
which half are log-probabilities; a larger vocabulary takes a little more [assumed]."""


@dataclass(frozen=True)
class Disk:
    """Bytes under the work root."""

    models: float
    checkpoints: float
    """Exports, one a segment: kept."""
    states: float
    """DeepSpeed's states."""
    rollouts: float
    """Of every training step, beside the checkpoints."""
    samples: float

    @property
    def total(self) -> float:
        return self.models + self.checkpoints + self.states + self.rollouts + self.samples


def training_disk(
    segments: int, stages: int, keep_states: int, shape: Shape, adapters: int | None = None
) -> tuple[float, float]:
    """(checkpoints, states) at the most.

    A stage under way has its newest states and one that is being written; a finished one keeps its last. A start and an
    export share the files of the checkpoints (hard links).
    """
    if not segments:
        return 0.0, 0.0
    exported = (segments + 1) * shape.bytes + segments * 2 * (adapters or 0)
    return exported, (keep_states + stages) * state_bytes(adapters, shape)


def rollout_disk(stages: tuple[Work, ...]) -> float:
    """All steps' samples, those of prompts that dynamic filtering drops too."""
    kept = sum(work.steps * work.sequences * work.lengths.mean for work in stages if not work.filtered)
    drawn = sum(work.steps * work.sequences * work.lengths.mean for work in stages if work.filtered)
    return (kept + drawn / (1 - UNIFORM_SHARE)) * ROLLOUT_BYTES


def sample_disk(tokens: float) -> float:
    return tokens * SAMPLE_BYTES * COMPRESSED
