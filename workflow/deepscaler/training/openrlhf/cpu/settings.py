"""Replaces the settings of an otherwise unchanged command that need a GPU.

They are replaced after OpenRLHF's own parser and checks have passed them (`train` first calls `get_strategy`), so that
a command is the same, and checked the same, with a GPU and without.
"""

from typing import Any

from deepscaler.training.openrlhf.when_imported import when_imported


def apply() -> None:
    def patch(module: Any) -> None:
        get_strategy = module.get_strategy

        def cpu_strategy(args: Any) -> Any:
            args.ds.attn_implementation = "sdpa"  # packing stays on: transformers masks by position ids
            args.vllm.sync_backend = "gloo"  # nccl with colocation would pass CUDA IPC handles
            args.vllm.enable_sleep = args.ds.enable_sleep = False  # there is no GPU memory to make room in
            args.vllm.enforce_eager = True  # no CUDA graphs
            args.vllm.gpu_memory_utilization = 0.1  # on a CPU, a share of the computer's memory
            return get_strategy(args)

        module.get_strategy = cpu_strategy

    when_imported("openrlhf.utils", patch)
