"""Processes that SIGTERM does not reach, whatever handlers they install: it is blocked in them, from their birth.

SLURM sends it to every process of a job that is to end soon, and a step must then go on to its end. What a process
starts is shielded too.
"""

import multiprocessing.spawn
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEEP = "from deepscaler.training.launch import shield; shield.keep(); "
"""What a spawned process runs first."""
kept = False


@contextmanager
def shielded() -> Iterator[None]:
    """What this thread starts in the block is shielded."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def keep() -> None:
    """In a process that is shielded, and in those that it spawns: nobody unblocks SIGTERM.

    Python's own resource tracker would, when the first semaphore or shared memory is made, and joblib's.
    """
    global kept
    if kept or signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        return
    kept = True
    set_mask, get_command_line = signal.pthread_sigmask, multiprocessing.spawn.get_command_line

    def without_sigterm(how: int, mask: Iterable[int]) -> set[Any]:
        wanted = set(mask)
        return set_mask(how, wanted - {signal.SIGTERM} if how == signal.SIG_UNBLOCK else wanted | {signal.SIGTERM})

    def command_line(**arguments: Any) -> list[str]:
        words = get_command_line(**arguments)
        code = words.index("-c") + 1 if "-c" in words else None  # a frozen executable has none
        return words if code is None else [*words[:code], KEEP + words[code], *words[code + 1 :]]

    signal.pthread_sigmask = without_sigterm
    multiprocessing.spawn.get_command_line = command_line


def is_shielded(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    blocked = next((line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:")), "0")
    return bool(int(blocked, 16) >> (signal.SIGTERM - 1) & 1)
