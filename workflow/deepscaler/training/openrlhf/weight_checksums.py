"""Do the engines hold the trainer's weights? Asked once a launch, after its first sync; patched in as `hooks` does.

Upstream sends weights and never looks whether they were loaded. A sampler that keeps older ones draws from a policy
that is not trained, which shows late and only in `vllm_kl`. Here both sides add up a checksum of each tensor: the
trainer of its parameters, whole at ZeRO 3 and merged with LoRA, each engine of what its model holds after loading.

1. **The checksum** is a sum over elements, each by its bits and its place. A tensor that vLLM fuses of several
   (`qkv_proj`) has the sum of its parts', whose places go on from part to part, and the zeros that it pads a vocabulary
   with add nothing.
2. **The question** to an engine is an `update_weight` of a name that no weight has: of upstream's calls to an engine,
   the one that brings back what its worker answers.
3. **Where they differ** the launch ends before the step is logged, and names tensors. What was compared is in the run
   folder, of the newest launch that sent weights; a rehearsal shows it.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepscaler.training.openrlhf import lora
from deepscaler.training.openrlhf.bounds import Bounds
from deepscaler.training.openrlhf.weight_buckets import shape_of

if TYPE_CHECKING:
    from torch import Tensor

Checksums = dict[str, int]
"""Name of a tensor → its checksum, modulo 2^64, signed."""
Packed = dict[str, list[str]]
"""vLLM's fused layer → the layers that it is made of, in their order: `qkv_proj` → `q_proj`, `k_proj`, `v_proj`."""
Answer = tuple[Checksums, Packed]
"""Of an engine."""

QUESTION = "deepscaler: the checksums of all weights"
NAMED = 3
"""Tensors that a message names."""
ELEMENTS = 1 << 22
"""Added up at a time: 32 MiB of integers and two copies, beside whole weights on a full card."""
ODD, OTHER_ODD, SHIFT = -7046029254386353131, -4658895280553007687, 29
"""SplitMix64's multipliers as signed integers; any odd numbers with many bits would do."""


def checksum(tensor: "Tensor", start: int = 0) -> int:
    """Of the bits of all elements and their places, the first one's being `start`; computed where the tensor lies.

    Bits are mixed before they are added, or one element up and one down by a unit in the last place, which is what a
    small update comes to in bf16, would cancel. An odd factor for each place tells an order from another, and leaves
    zeros (+0.0) to add 0.
    """
    import torch

    kinds = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    bits = tensor.detach().contiguous().flatten().view(kinds[tensor.element_size()])
    total = torch.zeros((), dtype=torch.int64, device=bits.device)
    for part in bits.split(ELEMENTS):
        mixed = part.long() * ODD  # integers of torch wrap around, on CPUs and GPUs
        mixed = (mixed ^ (mixed >> SHIFT)) * OTHER_ODD
        odd = torch.arange(2 * start + 1, 2 * (start + len(part)), 2, device=bits.device)
        total += (mixed * odd).sum()
        start += len(part)
    return int(total)


def checksums(tensors: Iterable[tuple[str, Any]], starts: dict[str, int] | None = None) -> Checksums:
    return {name: checksum(tensor.data, (starts or {}).get(name, 0)) for name, tensor in tensors}


def starts_in(packed: Packed, sizes: dict[str, int]) -> dict[str, int]:
    """Where each part of a fused tensor begins in it: behind the parts before it. `sizes` has the elements of all."""
    found = {}
    for parts in packed.values():
        for name in sizes:
            part = next((word for word in name.split(".") if word in parts), None)
            if part:
                before = parts[: parts.index(part)]
                found[name] = sum(sizes.get(with_word(name, part, other), 0) for other in before)
    return found


def with_word(name: str, old: str, new: str) -> str:
    return ".".join(new if word == old else word for word in name.split("."))


def fused(sums: Checksums, packed: Packed) -> Checksums:
    """The checksums under vLLM's names, those of a fused tensor's parts added up."""
    whole_of = {part: whole for whole, parts in packed.items() for part in parts}
    found: Checksums = {}
    for name, value in sums.items():
        whole = ".".join(whole_of.get(word, word) for word in name.split("."))
        found[whole] = signed(found.get(whole, 0) + value)
    return found


def signed(number: int) -> int:
    """Modulo 2^64, as torch's integers wrap around."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def differing(trained: Checksums, held: Checksums, packed: Packed) -> list[str]:
    """The engine's tensors whose checksum is not the trainer's, or that only one of the two has."""
    sent = fused(trained, packed)
    return [name for name in sorted(sent.keys() | held.keys()) if sent.get(name) != held.get(name)]


def compare_first_sync(module: Any, bounds: Bounds) -> None:
    """Of openrlhf.trainer.ray.ppo_actor, in each process that trains; rank 0 asks the engines."""
    if bounds.weights is None:
        return
    broadcast_to_vllm = module.ActorPPOTrainer.broadcast_to_vllm
    record, compared = Path(bounds.weights), False

    def compared_once(self: Any) -> None:
        nonlocal compared
        broadcast_to_vllm(self)
        if compared:
            return
        compared = True
        answers = asked(self.vllm_engines)
        trained = of_trainer(self.actor.model.module, self.strategy, answers[0][1] if answers else {})
        if trained is not None:
            compare(trained, answers, record)

    module.ActorPPOTrainer.broadcast_to_vllm = compared_once


def asked(engines: list[Any]) -> list[Answer]:
    """What each engine answers; rank 0 asks, and the others get nothing."""
    import ray
    import torch

    if torch.distributed.get_rank() != 0:
        return []
    # one worker an engine: all layouts' models fit a GPU
    return [answer for [answer] in ray.get([engine.update_weight.remote(QUESTION, None, ()) for engine in engines])]


def of_trainer(model: Any, strategy: Any, packed: Packed) -> Checksums | None:
    """On rank 0; the other ranks take part, since at ZeRO 3 each has a piece of every parameter, and get None."""
    import deepspeed
    import torch

    first = torch.distributed.get_rank() == 0
    if lora.is_adapted(model):
        with lora.gathered(model, strategy):
            weights = lora.WholeModel(model).named_parameters() if first else []
            return checksums(weights, starts_in(packed, sizes_of(weights))) if first else None
    found: Checksums = {}
    starts = starts_in(packed, sizes_of(model.named_parameters()))
    for name, parameter in model.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter], enabled=strategy.args.ds.zero_stage == 3):
            if first:
                found[name] = checksum(parameter.data, starts.get(name, 0))
    return found if first else None


def sizes_of(weights: Iterable[tuple[str, Any]]) -> dict[str, int]:
    """Elements of each, of the whole weight at ZeRO 3."""
    return {name: shape_of(weight).numel() for name, weight in weights}


def compare(trained: Checksums, answers: list[Answer], record: Path) -> None:
    """Write down what was compared.

    Raises:
        RuntimeError: an engine holds other weights, which ends the launch.
    """
    from deepscaler.files import write_json

    wrong = [differing(trained, held, packed) for held, packed in answers]
    names, tensors = sorted(set().union(*wrong)), len(answers[0][0])
    write_json(record, {"tensors": tensors, "engines": len(answers), "differing": names})
    if names:
        raise RuntimeError(message(names, tensors, [number for number, found in enumerate(wrong) if found]))


def message(names: list[str], tensors: int, engines: list[int]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (
        f"after the first sync the sampler's weights are not the trainer's in {len(names)} of {tensors} tensors "
        f"(engine {', '.join(map(str, engines[:NAMED]))}): {', '.join(names[:NAMED])}{more}"
    )


def of_engine(worker: Any) -> Answer:
    """An engine's answer, in the process of its worker: what its model holds, and which of it is fused of what."""
    from deepscaler.training.openrlhf.weight_group import check_version

    check_version()
    model = worker.model_runner.model
    return checksums(model.named_parameters()), dict(getattr(model, "packed_modules_mapping", {}))
