"""The trainer's weights go to vLLM over gloo instead of NCCL.

Without libnccl, vLLM's PyNcclCommunicator is "disabled", and its broadcast then sends nothing and raises no error: the
sampler would keep its first weights for ever. So the group (openrlhf/utils/distributed_util.py) is made over gloo.
Checksums show that the weights arrive (weight_checksums.py), and so does `vllm_kl`; tests withhold them.
"""

from typing import Any

from deepscaler.training.openrlhf.when_imported import when_imported


class GlooCommunicator:
    """What OpenRLHF uses of PyNcclCommunicator: `broadcast`, between the trainer's rank 0 and all engines."""

    def __init__(self, host: str, port: int, rank: int, world_size: int, device: Any) -> None:
        from vllm.distributed.utils import stateless_init_torch_distributed_process_group

        self.group: Any = stateless_init_torch_distributed_process_group(host, port, rank, world_size, backend="gloo")

    def broadcast(self, tensor: Any, src: int, stream: Any = None) -> None:
        import torch

        options = torch.distributed.BroadcastOptions()
        options.rootRank, options.rootTensor = src, 0
        self.group.broadcast([tensor], options).wait()


def apply() -> None:
    def use_gloo(module: Any) -> None:
        module.stateless_init_process_group = GlooCommunicator

    when_imported("openrlhf.utils.distributed_util", use_gloo)
