"""The machine's GPUs against what sampling takes: for each of these vLLM would not start, once weights are fetched."""

import math
import os
from collections.abc import Iterator

from deepscaler import dag, settings
from deepscaler.cost.hardware import shape_of
from deepscaler.cost.memory import cache_sequences_in
from deepscaler.settings.models import Published
from deepscaler.settings.scale import Scale
from deepscaler.training.readiness.check import Check
from deepscaler.training.readiness.driver import check_code, check_driver
from deepscaler.training.readiness.nvidia_smi import Gpu, found_or_missing, of_capability

OLDEST = (7, 5)
"""Compute capability from which CUDA 13, with which the pinned engines are built, makes code."""
OLDEST_BFLOAT16 = (8, 0)
SPARE = 0.02
"""Share of a card that is left free beside what others use, where one is proposed."""


def check_sampling(scale_name: str) -> Iterator[Check]:
    """Number, kind, driver and free memory of the GPUs that a scale samples on."""
    scale = settings.load_scale(scale_name)
    wanted = scale.evaluation.tensor_parallel
    found, unread = found_or_missing(f"sampling needs {wanted}")
    if unread:
        yield unread
        return
    used = visible(found)[:wanted]
    if len(used) < wanted:
        hint = "evaluation.tensor_parallel is how many an engine takes"
        yield Check("missing", f"{len(used)} GPUs here; sampling needs {wanted}", hint)
    else:
        yield Check("ok", f"{len(used)} of {len(found)} GPUs: {used[0].name}")
    if not used:
        return
    yield check_driver(used)
    yield from check_code(used)
    yield from check_capability(scale, used)
    yield from check_free(scale, used)
    yield from check_room(scale, used)


def visible(found: list[Gpu]) -> list[Gpu]:
    """Those that CUDA_VISIBLE_DEVICES lets programs see, where it names them by number."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if not all(name.strip().isdigit() for name in names):
        return found
    return [found[int(name)] for name in names if int(name) < len(found)]


def check_capability(scale: Scale, used: list[Gpu]) -> Iterator[Check]:
    dtype = scale.evaluation.engine.dtype
    known = [gpu for gpu in used if gpu.capability]
    oldest = min(known, key=lambda gpu: gpu.capability or OLDEST, default=None)
    if oldest is None or oldest.capability is None:
        return
    if oldest.capability < OLDEST:
        what = f"{of_capability(oldest)}; the pinned engines have no code below 7.5"
        yield Check("missing", what, "another card: no setting changes that")
    elif dtype == "bfloat16" and oldest.capability < OLDEST_BFLOAT16:
        hint = "evaluation.engine.dtype: float16 in a scale of your own that extends this one; it changes the samples"
        yield Check("missing", f"{of_capability(oldest)}; bfloat16 needs 8.0", hint)
    else:
        yield Check("ok", f"compute capability {'.'.join(map(str, oldest.capability))} for {dtype}")


def check_free(scale: Scale, used: list[Gpu]) -> Iterator[Check]:
    """vLLM starts only where its share of the card's memory is free."""
    share = scale.evaluation.engine.gpu.memory_utilisation
    fullest = max(used, key=lambda gpu: gpu.used / gpu.memory)
    free = 1 - fullest.used / fullest.memory
    words = f"{free:.0%} of {fullest.memory / 1e9:.0f} GB are free, sampling takes {share:.0%}"
    if free >= share:
        yield Check("ok", words)
        return
    possible = math.floor((free - SPARE) * 100) / 100
    yield Check(
        "missing",
        words,
        f"end what uses the GPU (`nvidia-smi`), or evaluation.engine.gpu.memory_utilisation: {max(possible, 0):g} in a "
        "scale of your own, which changes no sample's distribution",
    )


def check_room(scale: Scale, used: list[Gpu]) -> Iterator[Check]:
    """The largest model's weights, and the keys and values of one whole answer."""
    sizes = {name: size for name in dag.evaluated(scale.name) if (size := billions(name)) is not None}
    if not sizes:
        return
    largest = max(sizes, key=lambda name: sizes[name])
    share = scale.evaluation.engine.gpu.memory_utilisation
    room = share * min(gpu.memory for gpu in used) * len(used)
    count = cache_sequences_in(room, scale.evaluation.context, shape_of(sizes[largest]))
    words = f"of {largest}, {count} whole answers of {scale.evaluation.context:,} tokens fit into {room / 1e9:.0f} GB"
    hint = "a card with more memory, or evaluation.tensor_parallel: 2 on two of them"
    yield Check("ok", words) if count >= 1 else Check("missing", words, hint)


def billions(system: str) -> float | None:
    entry = settings.systems()[system]
    return entry.parameters if isinstance(entry, Published) else None
