"""Time of rollouts: engines in lockstep, the slowest decides.

An engine's decode step with B sequences alive and a total context of c tokens takes

    host + B·sequence + (weights/weight_efficiency + c·cache/cache_efficiency) / bandwidth

Summed over all steps that is exact, without walking through them: every alive sequence adds its own terms whatever
the others do, so an engine needs

    steps·(host + weights) + ΣL·sequence + Σ(L²/2 + prompt·L)·cache

where `steps` is the longest length, or the makespan where there are more sequences than an engine decodes at once.
Lengths are drawn (seeded), so that the long tail and the uneven engines are part of the result.
"""

import heapq
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from deepscaler.cost.assumptions import PROMPT_TOKENS, Stack
from deepscaler.cost.hardware import Card, Shape
from deepscaler.cost.lengths import Lengths

if TYPE_CHECKING:
    import numpy

DRAWS = 96
"""Simulated steps: the standard error of the mean is below 1 %."""


@dataclass(frozen=True)
class Generation:
    seconds: float
    """Of a step: its slowest engine."""
    mean_engine: float


def weight_seconds(shape: Shape, card: Card, stack: Stack) -> float:
    """Of a decode step, whatever the batch: the host's part and reading the weights."""
    return stack.host_seconds + shape.decode_bytes / (stack.weight_efficiency * card.bytes_per_second)


def cache_seconds(shape: Shape, card: Card, stack: Stack) -> float:
    """Of reading one token's keys and values."""
    return shape.cache_bytes * stack.cache_scale / (stack.cache_efficiency * card.bytes_per_second)


def prefill_seconds(sequences: float, shape: Shape, card: Card, stack: Stack) -> float:
    """Of the prompts of one engine; prefix caching would save some."""
    flop = sequences * PROMPT_TOKENS * 2 * (shape.layer_matmul + shape.head_matmul)
    return flop / (stack.flop_utilisation * card.flop_per_second)


def generation(
    lengths: Lengths, prompts: int, samples: int, engines: int, shape: Shape, card: Card, stack: Stack, seed: int = 0
) -> Generation:
    """A step's rollouts of `prompts` × `samples` on `engines` engines of one GPU each."""
    load = drawn_load(lengths, prompts, samples, engines, stack.max_sequences, stack.spread, seed)
    seconds = engine_seconds(load, shape, card, stack)
    prefill = prefill_seconds(prompts * samples / engines, shape, card, stack)
    return Generation(float(seconds.max(axis=1).mean()) + prefill, float(seconds.mean()) + prefill)


@dataclass(frozen=True)
class Load:
    """What engines have to do, each array of shape (steps of training, engines)."""

    steps: "numpy.ndarray"
    """Decode steps."""
    tokens: "numpy.ndarray"
    context: "numpy.ndarray"
    """Tokens of context read, over all decode steps."""


@cache
def drawn_load(lengths: Lengths, prompts: int, samples: int, engines: int, slots: int, spread: bool, seed: int) -> Load:
    """The load of simulated steps."""
    import numpy

    return load_of(lengths.draw(numpy.random.default_rng(seed), DRAWS, prompts, samples), engines, slots, spread)


def load_of(drawn: "numpy.ndarray", engines: int, slots: int, spread: bool = False) -> Load:
    """The load of lengths of shape (steps, prompts, samples), dealt out in turn.

    With `spread`, samples are dealt out; without, as in OpenRLHF alone, prompts with all their samples.
    """
    import numpy

    steps, prompts, samples = drawn.shape
    flat = drawn.reshape(steps, prompts * samples)
    order = numpy.arange(prompts * samples) if spread else numpy.repeat(numpy.arange(prompts), samples)
    shares = [flat[:, order % engines == engine] for engine in range(engines)]
    return Load(
        steps=numpy.stack([makespans(share, slots) for share in shares], axis=1),
        tokens=numpy.stack([share.sum(axis=1) for share in shares], axis=1),
        context=numpy.stack([(share * share / 2 + PROMPT_TOKENS * share).sum(axis=1) for share in shares], axis=1),
    )


def engine_seconds(load: Load, shape: Shape, card: Card, stack: Stack) -> "numpy.ndarray":
    """Seconds of every engine in every step, of shape (steps, engines)."""
    seconds: numpy.ndarray = (
        load.steps * weight_seconds(shape, card, stack)
        + load.tokens * stack.sequence_seconds
        + load.context * cache_seconds(shape, card, stack)
    )
    return seconds


def makespans(lengths: "numpy.ndarray", slots: int) -> "numpy.ndarray":
    """The makespan of each row."""
    import numpy

    if lengths.shape[1] <= slots:
        longest: numpy.ndarray = lengths.max(axis=1, initial=0.0)
        return longest
    return numpy.array([makespan(row, slots) for row in lengths])


def makespan(lengths: "numpy.ndarray", slots: int) -> float:
    """Decode steps until the last of the sequences ends, at most `slots` at once, first come first served."""
    ends = [float(length) for length in lengths[:slots]]
    heapq.heapify(ends)
    for length in lengths[slots:]:
        heapq.heappush(ends, heapq.heappop(ends) + float(length))
    return max(ends)
