"""Removes the locks of a Snakemake that was killed, and no other's.

Snakemake locks what it makes by files, which stay when it is killed. A run on a cluster leaves a note beside them that
names them. The note shows whether its run is alive: the run holds an operating system's lock on it, and touches it
every few seconds (the reasons for both are in deepscaler.training.run.writer_lock). Local runs leave no note: their
jobs may run on without them, and nothing would show it, whereas SLURM lists its jobs.
"""

import atexit
import json
import os
import socket
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepscaler.files import lock_file
from deepscaler.training.run import writer_lock

NOTES = Path(".snakemake/alive")
held: list[Any] = []
"""Notes of this process: open, and so locked, until it ends."""


def announce(locks: Iterable[str | Path], notes: Path = NOTES) -> None:
    """Leave a note that these lock files are this process's, for as long as it lives."""
    name = f"{uuid.uuid4().hex}.json"
    aside, note = notes / f".{name}", notes / name
    notes.mkdir(parents=True, exist_ok=True)
    handle = lock_file(aside)
    held.append(handle)
    content = {**writer_lock.identity(), "locks": [fingerprint(Path(path)) for path in locks]}
    handle.write(json.dumps(content).encode())
    handle.flush()
    writer_lock.try_lock(handle)
    aside.rename(note)  # seen by others only when it is held
    atexit.register(note.unlink, missing_ok=True)
    threading.Thread(target=writer_lock.keep_fresh, args=(note, threading.Event()), daemon=True).start()


def remove_stale(notes: Path = NOTES) -> None:
    """Remove the lock files of every note whose process has ended, as far as they are still the same, and the note."""
    for note in notes.glob("[!.]*.json"):
        content = read_stale(note)
        if content is None:
            continue
        for recorded in content.get("locks", []):
            path = Path(recorded[0])
            if path.exists() and fingerprint(path) == recorded:
                path.unlink(missing_ok=True)
        note.unlink(missing_ok=True)


def fingerprint(path: Path) -> list[Any]:
    """Path, inode and time: they differ between a lock file and a later one of the same name."""
    status = path.stat()
    return [str(path.resolve()), status.st_ino, status.st_mtime_ns]


def read_stale(note: Path) -> dict[str, Any] | None:
    """A note's content, or None where its process lives: by its lock or, from another host, by its last touch."""
    try:
        with note.open("r+", encoding="utf-8") as handle:  # NFS locks only what is open for writing
            if not writer_lock.try_lock(handle):
                return None
            content: dict[str, Any] = json.load(handle)
        elsewhere = content.get("host") != socket.gethostname()
        return None if elsewhere and age(note) < writer_lock.STALE_SECONDS else content
    except (OSError, ValueError):
        return None


def age(path: Path) -> float:
    """Seconds since a file was touched, by the file system's own clock."""
    probe = path.with_name(f".clock.{os.getpid()}")
    probe.touch()
    try:
        return probe.stat().st_mtime - path.stat().st_mtime
    finally:
        probe.unlink()
