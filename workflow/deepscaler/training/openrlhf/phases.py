"""Seconds and peak memory of what the process that trains does, noted as it goes on (watch/measured.py).

On a GPU the peak is the allocator's, with what others hold of the card, or what a thread sees of the card at times,
so that vLLM's share counts while it samples. Without a GPU it is the process's, whose high-water mark Linux resets.
"""

import contextlib
import functools
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepscaler.training.openrlhf.bounds import Bounds
from deepscaler.training.watch import measured
from deepscaler.training.watch.measured import Phase, append_phase

LOOK_SECONDS = 0.5
KIB, GB = 1024, 1e9


def measure(module: Any, bounds: Bounds) -> None:
    """Note the phases of `openrlhf.trainer.ray.ppo_actor`, which the process that trains imports."""
    if bounds.measured is None:
        return
    notes = Notes(Path(bounds.measured))
    trainer, strategy = module.ActorPPOTrainer, module.DeepspeedStrategy
    trainer.ppo_train = notes.around(trainer.ppo_train, measured.UPDATE)
    trainer.broadcast_to_vllm = notes.around(trainer.broadcast_to_vllm, measured.SYNC)
    strategy.save_ckpt = notes.around(strategy.save_ckpt, measured.SAVE)
    strategy.load_ckpt = notes.around(strategy.load_ckpt, measured.LOAD)
    strategy.save_model = notes.around(strategy.save_model, measured.EXPORT)
    module.Actor.forward = notes.adding_up(module.Actor.forward)


class Notes:
    """The phases of one process. Log-probabilities, many short calls, are one phase, noted when the next begins."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.memory = folder, Memory()
        self.forward_seconds, self.forward_peak = 0.0, 0.0
        self.idle_since: float | None = None

    def around(self, function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def noted(*arguments: Any, **named: Any) -> Any:
            self.note_forward()
            self.memory.reset()
            begun = time.time()
            try:
                return function(*arguments, **named)
            finally:
                self.append(phase, time.time() - begun, self.memory.peak())
                self.memory.reset()
                self.idle_since = time.time() if phase == measured.SYNC else None

        return noted

    def adding_up(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A model's forward pass; in training it belongs to the update."""

        @functools.wraps(function)
        def noted(*arguments: Any, **named: Any) -> Any:
            import torch

            if torch.is_grad_enabled():
                return function(*arguments, **named)
            if not self.forward_seconds:  # until now rollouts were waited for
                waited = time.time() - self.idle_since if self.idle_since else 0.0
                self.append(measured.ROLLOUTS, waited, self.memory.peak())
                self.memory.reset()
            begun = time.time()
            result = function(*arguments, **named)
            self.forward_seconds += time.time() - begun
            self.forward_peak = max(self.forward_peak, self.memory.peak())
            return result

        return noted

    def note_forward(self) -> None:
        if self.forward_seconds:
            self.append(measured.LOG_PROBABILITIES, self.forward_seconds, self.forward_peak)
            self.forward_seconds, self.forward_peak = 0.0, 0.0

    def append(self, phase: str, seconds: float, peak: float) -> None:
        import torch.distributed

        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        found = Phase(phase, rank, socket.gethostname(), time.time(), round(seconds, 4), round(peak / GB, 4))
        append_phase(self.folder, found)


class Memory:
    """The most that was held since the last reset, in bytes."""

    def __init__(self) -> None:
        self.seen, self.others, self.watching = 0, 0, False

    def reset(self) -> None:
        if on_gpu():
            import torch

            torch.cuda.reset_peak_memory_stats()
            self.others, self.seen = card_bytes() - torch.cuda.memory_reserved(), 0
            self.watch()
        else:
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM

    def peak(self) -> int:
        if not on_gpu():
            return resident_peak()
        import torch

        return int(max(self.seen, card_bytes(), self.others + torch.cuda.max_memory_reserved()))

    def watch(self) -> None:
        """Look at the card from a thread, for as long as the process lives."""
        if self.watching:
            return
        self.watching = True

        def look() -> None:
            while True:
                self.seen = max(self.seen, card_bytes())
                time.sleep(LOOK_SECONDS)

        threading.Thread(target=look, daemon=True, name="card-memory").start()


def on_gpu() -> bool:
    """Whether CUDA is in use here already; asking starts nothing."""
    import torch

    return bool(torch.cuda.is_initialized() and torch.version.cuda)


def card_bytes() -> int:
    import torch

    free, whole = torch.cuda.mem_get_info()
    return int(whole - free)


def resident_peak(status: Path = Path("/proc/self/status")) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * KIB
