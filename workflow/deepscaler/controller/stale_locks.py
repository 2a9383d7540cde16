"""Removes the locks of a Snakemake that was killed, and no other's.

Snakemake locks what it makes by files, which stay when it is killed. So every run leaves a note of itself as it starts,
and one that names its lock files once it has them. A note shows whether its run is alive: the run holds an operating
system's lock on it, and touches it every few seconds (the reasons for both are in
deepscaler.training.run.writer_lock). The jobs of a killed run may live on; controller/orphans.py waits for those of
this computer, and SLURM lists its own.
"""

import atexit
import json
import os
import socket
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepscaler.files import lock_file
from deepscaler.training.launch import reaper
from deepscaler.training.run import writer_lock

NOTES = Path(".snakemake/alive")
LOCKS = Path(".snakemake/locks")
"""Of Snakemake. A note that names a file elsewhere was not written by a run."""
RUN = "DEEPSCALER_RUN"
"""Variable by which the jobs that a run starts on this computer are known: all that they start inherits it."""
LARGEST = 1 << 20
"""Bytes of a note."""
held: list[Any] = []
"""Notes of this process: open, and so locked, until it ends."""


def start() -> None:
    """At a run's start, before Snakemake locks: make way for it, and say that it is there.

    Where the checkout can't be written to, another's or an archive, a dry run goes on without.
    """
    with suppress(OSError):
        remove_stale()
        announce([])


def announce(locks: Iterable[str | Path], notes: Path = NOTES, *, token: str | None = None) -> None:
    """Leave a note that these lock files are this process's, for as long as it lives.

    `token`: what its jobs on this computer carry in their environment, as RUN.
    """
    name = f"{uuid.uuid4().hex}.json"
    aside, note = notes / f".{name}", notes / name
    notes.mkdir(parents=True, exist_ok=True)
    handle = lock_file(aside)
    held.append(handle)
    known = {"started": started(os.getpid()), "token": token, "locks": [fingerprint(Path(path)) for path in locks]}
    handle.write(json.dumps({**writer_lock.identity(), **known}).encode())
    handle.flush()
    writer_lock.try_lock(handle)
    aside.rename(note)  # seen by others only when it is held
    atexit.register(note.unlink, missing_ok=True)
    threading.Thread(target=writer_lock.keep_fresh, args=(note, threading.Event()), daemon=True).start()


def remove_stale(notes: Path = NOTES, locks: Path = LOCKS) -> None:
    """Remove the lock files of every run that has ended, as far as they are still the same, and its notes.

    Where no run at all is alive, no lock file is anyone's: one may be of a run that was killed before it could name it.
    A note of a run whose jobs live on stays until they have ended.
    """
    notes.mkdir(parents=True, exist_ok=True)
    living = False
    for note in all_notes(notes):
        content = read_stale(note)
        if content is None:
            living = living or note.exists()
            continue
        for path in still_there(content.get("locks"), locks.resolve()):
            path.unlink(missing_ok=True)
        if not left_behind(content):
            note.unlink(missing_ok=True)
    if not living:
        for path in locks.glob("*.lock"):
            path.unlink(missing_ok=True)


def orphans(notes: Path = NOTES) -> list[int]:
    """The processes of this computer that runs which have ended left behind."""
    contents = [content for note in all_notes(notes) if (content := read_stale(note)) is not None]
    return sorted({pid for content in contents for pid in left_behind(content)})


def left_behind(content: dict[str, Any]) -> list[int]:
    token = content.get("token")
    here = content.get("host") == socket.gethostname()
    return reaper.carriers(token, RUN) if isinstance(token, str) and token and here else []


def all_notes(notes: Path) -> Iterator[Path]:
    return notes.glob("[!.]*.json")


def still_there(recorded: Any, folder: Path) -> Iterator[Path]:
    """The lock files of a note that are unchanged; only files in Snakemake's own folder, whatever a note names."""
    for entry in recorded if isinstance(recorded, list) else []:
        if not isinstance(entry, list) or not entry or not isinstance(entry[0], str):
            continue
        path = Path(entry[0])
        if path.parent == folder and path.suffix == ".lock" and path.is_file() and fingerprint(path) == entry:
            yield path


def fingerprint(path: Path) -> list[Any]:
    """Path, inode and time: they differ between a lock file and a later one of the same name."""
    status = path.stat()
    return [str(path.resolve()), status.st_ino, status.st_mtime_ns]


def read_stale(note: Path) -> dict[str, Any] | None:
    """A note's content, or None where its process lives.

    By its lock; where the file system has no locks, by the process; from another computer, by its last touch.
    """
    try:
        if not note.is_file():  # a pipe would wait
            return None
        with note.open("r+", encoding="utf-8") as handle:  # NFS locks only what is open for writing
            if not writer_lock.try_lock(handle):
                return None
            content = json.loads(handle.read(LARGEST))
        if not isinstance(content, dict):
            return None
        if content.get("host") == socket.gethostname():
            return None if lives(content) else content
        return None if age(note) < writer_lock.STALE_SECONDS else content
    except (OSError, ValueError, RecursionError):
        return None


def lives(content: dict[str, Any]) -> bool:
    """Whether the process that left a note is still there; not this one, which may have left it before an exec."""
    pid, since = content.get("pid", 0), content.get("started")
    return isinstance(pid, int) and pid != os.getpid() and since is not None and started(pid) == since


def started(pid: int) -> int | None:
    """When a process started, in clock ticks since the boot; None where it is not there, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def age(path: Path) -> float:
    """Seconds since a file was touched, by the file system's own clock."""
    probe = path.with_name(f".clock.{os.getpid()}")
    probe.touch()
    try:
        return probe.stat().st_mtime - path.stat().st_mtime
    finally:
        probe.unlink()
