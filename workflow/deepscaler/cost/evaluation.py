"""Time of sampling a test suite: the same engine as in training, alone on its GPUs, one start a shard."""

from dataclasses import replace
from functools import cache

from deepscaler.cost.assumptions import KNOWN, Stack
from deepscaler.cost.generation import Load, engine_seconds, load_of, prefill_seconds
from deepscaler.cost.hardware import Card, shape_of
from deepscaler.cost.lengths import Lengths
from deepscaler.cost.workload import Sampling

ENGINE_SEQUENCES = 256
"""vLLM's default for offline inference on an A100 [code]; on larger cards it is 1,024."""


def sampling_hours(work: Sampling, card: Card, stack: Stack) -> float:
    """Wall hours of one job, the largest of its shards."""
    shape = shape_of(work.billions)
    alone = replace(stack, max_sequences=ENGINE_SEQUENCES)
    size = -(-work.samples // work.jobs)
    seconds = float(engine_seconds(drawn_shard(work.lengths, size), shape, card, alone).mean())
    seconds += prefill_seconds(size, shape, card, alone)
    return (seconds * stack.slack + KNOWN["sampling_start_seconds"]) / 3600


@cache
def drawn_shard(lengths: Lengths, size: int) -> Load:
    import numpy

    return load_of(lengths.draw(numpy.random.default_rng(0), 4, size, 1), 1, ENGINE_SEQUENCES)
