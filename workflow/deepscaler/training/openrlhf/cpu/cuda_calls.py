"""Calls of torch.cuda that raise on a CPU build of torch, in OpenRLHF's actors, buffers and strategy.

Each gets a function of its own: torch._dynamo refuses one function under three names. With them, the device
mesh that OpenRLHF names "cuda" works, over gloo.
"""

from typing import Any


class CpuDevice(str):
    """A device to torch, but "0" inside `f"cuda:{…}"` (openrlhf/trainer/ppo_utils/replay_buffer.py)."""

    def __format__(self, spec: str) -> str:
        return "0"


def apply() -> None:
    import torch

    def current_device() -> CpuDevice:
        return CpuDevice("cpu")

    def set_device(device: Any) -> None: ...

    def synchronize(device: Any = None) -> None: ...

    def current_stream(device: Any = None) -> None: ...

    torch.cuda.current_device = current_device  # type: ignore[assignment]
    torch.cuda.set_device = set_device
    torch.cuda.synchronize = synchronize
    torch.cuda.current_stream = current_stream  # type: ignore[assignment]
