"""Do the engines hold the trainer's weights? Asked once a launch, after its first sync; patched in as `hooks` does.

Upstream sends weights and never looks whether they were loaded. A sampler that keeps older ones draws from a policy
that is not trained, which shows late and only in `vllm_kl`. Here both sides add up a checksum of each tensor: the
trainer of its parameters, whole at ZeRO 3 and merged with LoRA, each engine of what its model holds after loading.

1. **The checksum** is a sum over elements, so a tensor that vLLM fuses of several (`qkv_proj`) has the sum of its
   parts', and the zeros that it pads a vocabulary with add nothing. Equal sums do not show that elements are in order.
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

if TYPE_CHECKING:
    from torch import Tensor

Checksums = dict[str, int]
"""Name of a tensor → its checksum, modulo 2^64, signed."""
Packed = dict[str, list[str]]
"""vLLM's fused layer → the layers that it is made of: `qkv_proj` → `q_proj`, `k_proj`, `v_proj`."""

QUESTION = "deepscaler: the checksums of all weights"
NAMED = 3
"""Tensors that a message names."""
ELEMENTS = 1 << 22
"""Added up at a time: 32 MiB of integers and two copies, beside whole weights on a full card."""
ODD, OTHER_ODD, SHIFT = -7046029254386353131, -4658895280553007687, 29
"""SplitMix64's multipliers as signed integers; any odd numbers with many bits would do."""


def checksum(tensor: "Tensor") -> int:
    """Of the bits of all elements, in whatever order; zeros (+0.0) add 0. Computed where the tensor lies.

    Bits are mixed before they are added, or one element up and one down by a unit in the last place, which is what a
    small update comes to in bf16, would cancel.
    """
    import torch

    kinds = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    bits = tensor.detach().contiguous().flatten().view(kinds[tensor.element_size()])
    total = torch.zeros((), dtype=torch.int64, device=bits.device)
    for part in bits.split(ELEMENTS):
        mixed = part.long() * ODD  # integers of torch wrap around, on CPUs and GPUs
        mixed = (mixed ^ (mixed >> SHIFT)) * OTHER_ODD
        total += mixed.sum()
    return int(total)


def checksums(tensors: Iterable[tuple[str, Any]]) -> Checksums:
    return {name: checksum(tensor.data) for name, tensor in tensors}


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
        trained = of_trainer(self.actor.model.module, self.strategy)
        if trained is not None:
            compare(trained, self.vllm_engines, record)

    module.ActorPPOTrainer.broadcast_to_vllm = compared_once


def of_trainer(model: Any, strategy: Any) -> Checksums | None:
    """On rank 0; the other ranks take part, since at ZeRO 3 each has a piece of every parameter, and get None."""
    import deepspeed
    import torch

    first = torch.distributed.get_rank() == 0
    if lora.is_adapted(model):
        with lora.gathered(model, strategy):
            return checksums(lora.WholeModel(model).named_parameters()) if first else None
    found: Checksums = {}
    for name, parameter in model.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter], enabled=strategy.args.ds.zero_stage == 3):
            if first:
                found[name] = checksum(parameter.data)
    return found if first else None


def compare(trained: Checksums, engines: list[Any], record: Path) -> None:
    """Ask all engines, and write down what was compared.

    Raises:
        RuntimeError: an engine holds other weights, which ends the launch.
    """
    import ray

    from deepscaler.files import write_json

    answers = ray.get([engine.update_weight.remote(QUESTION, None, ()) for engine in engines])
    # one worker an engine: all layouts' models fit a GPU
    wrong = [differing(trained, held, packed) for [(held, packed)] in answers]
    names, tensors = sorted(set().union(*wrong)), len(answers[0][0][0])
    write_json(record, {"tensors": tensors, "engines": len(engines), "differing": names})
    if names:
        raise RuntimeError(message(names, tensors, [number for number, found in enumerate(wrong) if found]))


def message(names: list[str], tensors: int, engines: list[int]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (
        f"after the first sync the sampler's weights are not the trainer's in {len(names)} of {tensors} tensors "
        f"(engine {', '.join(map(str, engines[:NAMED]))}): {', '.join(names[:NAMED])}{more}"
    )


def of_engine(worker: Any) -> tuple[Checksums, Packed]:
    """An engine's answer, in the process of its worker: what its model holds, and which of it is fused of what."""
    from deepscaler.training.openrlhf.weight_group import check_version

    check_version()
    model = worker.model_runner.model
    return checksums(model.named_parameters()), dict(getattr(model, "packed_modules_mapping", {}))
