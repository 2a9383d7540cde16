"""Takes away the locks of a Snakemake that was killed, and no other's.

Snakemake locks what it makes by files, which stay when it is killed. A run on a cluster leaves a note beside them that
names its files. The operating system's own lock holds the note, and it is touched every few seconds, so that it tells
whether its run is alive (the reasons for both are in deepscaler.training.run.writer_lock). Local runs leave none: their
jobs may outlive them unseen, whereas SLURM knows its own.
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

from deepscaler.training.run import writer_lock

NOTES = Path(".snakemake/alive")
held: list[Any] = []
"""Notes of this process: open, and so locked, until it ends."""


def announce(locks: Iterable[str | Path], notes: Path = NOTES) -> None:
    """Leave a note that these lock files are this process's, for as long as it lives."""
    name = f"{uuid.uuid4().hex}.json"
    aside, note = notes / f".{name}", notes / name
    notes.mkdir(parents=True, exist_ok=True)
    handle = aside.open("w", encoding="utf-8")
    held.append(handle)
    json.dump({**writer_lock.identity(), "locks": [mark(Path(path)) for path in locks]}, handle)
    handle.flush()
    writer_lock.try_lock(handle)
    aside.rename(note)  # seen by others only when it is held
    atexit.register(note.unlink, missing_ok=True)
    threading.Thread(target=writer_lock.keep_fresh, args=(note, threading.Event()), daemon=True).start()


def release_the_dead(notes: Path = NOTES) -> None:
    """Remove the lock files of every note whose process has ended, as far as they are still the same, and the note."""
    for note in notes.glob("[!.]*.json"):
        facts = read_dead(note)
        if facts is None:
            continue
        for written in facts.get("locks", []):
            path = Path(written[0])
            if path.exists() and mark(path) == written:
                path.unlink(missing_ok=True)
        note.unlink(missing_ok=True)


def mark(path: Path) -> list[Any]:
    """What tells a lock file from a later one of its name."""
    facts = path.stat()
    return [str(path.resolve()), facts.st_ino, facts.st_mtime_ns]


def read_dead(note: Path) -> dict[str, Any] | None:
    """A note's content, or None where its process lives: by its lock or, from another host, by its last touch."""
    try:
        with note.open("r+", encoding="utf-8") as handle:  # NFS locks only what is open for writing
            if not writer_lock.try_lock(handle):
                return None
            facts: dict[str, Any] = json.load(handle)
        elsewhere = facts.get("host") != socket.gethostname()
        return None if elsewhere and age(note) < writer_lock.STALE_SECONDS else facts
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
