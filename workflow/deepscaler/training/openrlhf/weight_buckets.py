"""Weights go to the engines many at a time, patched into OpenRLHF's modules as `hooks` does.

Upstream sends each tensor by itself, and for each of a 1.5B model's 339 all ranks exchange an object, every engine
answers a call, and all wait for all. Here the tensors are laid end to end in buckets, and each bucket costs that once.

1. **Sending** is `broadcast_to_vllm` with a list of names and shapes in upstream's own two calls to an engine. The
   trainer holds a bucket and, at ZeRO 3, the gathered parameters that it is made of; where one tensor is larger than a
   bucket it goes alone, as all do in upstream's way.
2. **Receiving** is the worker's, in the engine's own process (engine_process.py): views of the bucket are loaded under
   their names, which copies them into the model.

Bytes are copied and never computed with, so what arrives is what upstream's way brings.
"""

import hashlib
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any

BUCKET_BYTES = 448 << 20
"""About the largest tensor of a 1.5B model: its embeddings, 467 MB, which go alone in upstream's way too."""
SENDING = {"broadcast_to_vllm": "9c92fd8bfa9217c6"}
RECEIVING = {"update_weight": "5507d975b539e3be", "update_weight_cuda_ipc": "272ef675146d2885"}
"""Upstream's functions that this file replaces, and digests of their sources."""

Weight = tuple[str, Any]
"""A name, and a parameter or what LoRA makes of one."""


def refuse_other_source(owner: Any, digests: dict[str, str]) -> None:
    """Raises RuntimeError where upstream's function is not the one that was read for its replacement here."""
    for name, digest in digests.items():
        if digest_of(getattr(owner, name)) != digest:
            raise RuntimeError(
                "deepscaler/training/openrlhf/weight_buckets.py was made to replace another "
                f"{owner.__name__}.{name} of openrlhf: see how this one brings weights to vLLM, then change its digest"
            )


def digest_of(function: Callable[..., Any]) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]


def send_buckets(module: Any) -> None:
    """Of openrlhf.trainer.ray.ppo_actor; below what merges LoRA's weights and what compares checksums."""
    refuse_other_source(module.ActorPPOTrainer, SENDING)
    module.ActorPPOTrainer.broadcast_to_vllm = broadcast_to_vllm


def broadcast_to_vllm(self: Any) -> None:
    """All weights to all engines; called on every rank."""
    import ray
    import torch
    from openrlhf.utils.distributed_util import torch_dist_barrier_and_cuda_sync

    arguments = self.strategy.args
    refuse_other_ways(arguments)
    resets = []
    if getattr(arguments.vllm, "enable_prefix_caching", False) and torch.distributed.get_rank() == 0:
        resets = [engine.reset_prefix_cache.remote() for engine in self.vllm_engines]
    torch.cuda.empty_cache()
    send = send_by_handle if self.use_cuda_ipc else send_by_group
    found = in_buckets(self.actor.model.module.named_parameters())
    for number, bucket in enumerate(found, 1):
        with gathered(bucket, arguments.ds.zero_stage):
            send(self, bucket, number == len(found))
    ray.get(resets)
    torch.cuda.empty_cache()
    torch_dist_barrier_and_cuda_sync()


def refuse_other_ways(arguments: Any) -> None:
    """Raises RuntimeError where upstream would send in a way that no layout has and nothing here was made for."""
    if arguments.ds.tensor_parallel_size > 1 or getattr(arguments.vllm, "sync_with_ray", False):
        raise RuntimeError("weights are not sent in buckets with --ds.tensor_parallel_size or --vllm.sync_with_ray")


def in_buckets(weights: Iterable[Weight]) -> list[list[Weight]]:
    """In their order, as many as fit a bucket, of one type."""
    found: list[list[Weight]] = []
    held = 0
    for name, weight in weights:
        size = shape_of(weight).numel() * weight.dtype.itemsize
        if not found or held + size > BUCKET_BYTES or weight.dtype != found[-1][-1][1].dtype:
            found.append([])
            held = 0
        found[-1].append((name, weight))
        held += size
    return found


def shape_of(weight: Any) -> Any:
    """Of the whole weight, which at ZeRO 3 a rank has a part of."""
    return getattr(weight, "ds_shape", weight.shape)


def gathered(bucket: list[Weight], zero_stage: int) -> Any:
    """While it is open, every rank has a bucket's parameters whole."""
    import deepspeed

    return deepspeed.zero.GatheredParameters([weight for _, weight in bucket], enabled=zero_stage == 3)


def laid_out(bucket: list[Weight]) -> Any:
    """A bucket's weights end to end in a tensor of their own, merged one at a time where LoRA has them."""
    import torch

    sizes = [shape_of(weight).numel() for _, weight in bucket]
    whole = None
    for (_, weight), place in zip(bucket, places(sizes), strict=True):
        data = weight.data
        if whole is None:
            whole = torch.empty(sum(sizes), dtype=data.dtype, device=data.device)
        whole[place].copy_(data.reshape(-1))
    return whole


def places(sizes: Sequence[int]) -> list[slice]:
    """Of things of these sizes, laid end to end."""
    return [slice(end - size, end) for end, size in zip(accumulate(sizes), sizes, strict=True)]


def described(bucket: list[Weight]) -> dict[str, Any]:
    """The arguments by which an engine knows what is in a bucket."""
    shapes = [tuple(shape_of(weight)) for _, weight in bucket]
    return {"name": [name for name, _ in bucket], "dtype": bucket[0][1].dtype, "shape": shapes}


def send_by_group(trainer: Any, bucket: list[Weight], last: bool) -> None:
    """Rank 0's weights, to engines that have GPUs of their own."""
    import ray
    import torch

    if torch.distributed.get_rank() != 0:
        return
    whole = laid_out(bucket)
    calls = [engine.update_weight.remote(**described(bucket), empty_cache=last) for engine in trainer.vllm_engines]
    trainer._model_update_group.broadcast(whole, src=0, stream=torch.cuda.current_stream())
    ray.get(calls)


def send_by_handle(trainer: Any, bucket: list[Weight], last: bool) -> None:
    """Each rank's weights, to the engine that shares its GPU and reads them where they lie."""
    import ray
    import torch
    from openrlhf.trainer.ray.utils import get_physical_gpu_id
    from openrlhf.utils.distributed_util import torch_dist_barrier_and_cuda_sync
    from torch.multiprocessing.reductions import reduce_tensor

    whole = laid_out(bucket)  # until all engines have read it
    own = {get_physical_gpu_id(): reduce_tensor(whole)}
    of_ranks: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(of_ranks, own)
    if torch.distributed.get_rank() == 0:
        handles = {gpu: handle for found in of_ranks for gpu, handle in found.items()}
        ray.get(
            [
                engine.update_weight_cuda_ipc.remote(**described(bucket), ipc_handles=handles, empty_cache=last)
                for engine in trainer.vllm_engines
            ]
        )
    torch_dist_barrier_and_cuda_sync()


def receive_by_group(worker: Any, names: list[str], dtype: Any, shapes: list[Sequence[int]]) -> None:
    """In an engine's worker: what `send_by_group` sends."""
    import torch

    whole = torch.empty(sum(map(math.prod, shapes)), dtype=dtype, device=worker.device)
    worker._model_update_group.broadcast(whole, src=0, stream=torch.cuda.current_stream())
    load(worker, names, shapes, whole)


def receive_by_handle(worker: Any, names: list[str], shapes: list[Sequence[int]], handles: dict[str, Any]) -> None:
    """In an engine's worker: what `send_by_handle` sends."""
    import torch
    from openrlhf.trainer.ray.utils import get_physical_gpu_id

    rebuild, arguments = handles[get_physical_gpu_id()]
    here = list(arguments)
    here[DEVICE] = worker.device.index
    load(worker, names, shapes, rebuild(*here))
    torch.cuda.synchronize()  # the trainer goes on when this returns


DEVICE = 6
"""Of the arguments by which PyTorch rebuilds a tensor of another process: the GPU's number, which each counts anew."""


def load(worker: Any, names: list[str], shapes: list[Sequence[int]], whole: Any) -> None:
    """Raises TypeError where the weights are of another type than the engine's model."""
    if whole.dtype != worker.model_config.dtype:
        raise TypeError(f"{names[0]} comes as {whole.dtype}, the engine's is {worker.model_config.dtype}")
    load_into(worker.model_runner.model, names, shapes, whole)


def load_into(model: Any, names: list[str], shapes: list[Sequence[int]], whole: Any) -> None:
    """Copy a bucket's weights into vLLM's model, which knows each by the trainer's name."""
    found = places([math.prod(shape) for shape in shapes])
    weights = [(name, whole[place].view(*shape)) for name, shape, place in zip(names, shapes, found, strict=True)]
    model.load_weights(weights=weights)
