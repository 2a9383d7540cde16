"""One writer for a folder, on one computer or many.

The lock is the operating system's (`flock`), so it dies with the process that holds it. Some shared file systems keep
such locks to one computer; so the holder also touches a file every few seconds, and whoever wants the folder waits as
long as that file is fresh. Its age is measured by the file system's own clock, not by the computers'.
"""

import errno
import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deepscaler.errors import JobError, UserError
from deepscaler.files import lock_file, read_json, write_json
from deepscaler.text import printable

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
"""A holder on another computer without a heartbeat for so long is taken to be gone."""
WAIT_MINUTES = 10.0
"""How long a second job waits; longer would let its GPUs idle. DEEPSCALER_LOCK_WAIT overrides it."""


@contextmanager
def only_writer(
    folder: Path, report: Callable[[str], None] = print, work: str = "training this segment", sign: Path | None = None
) -> Iterator[None]:
    """Hold `folder` for this process; wait for another holder a while, then raise JobError that names it.

    `work` says in messages what is done there. `sign` is a file that grows as the holder's work goes on: while it does,
    waiting is no loss to a job that needs that very work, and it waits on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = lock_file(folder / "writer.lock")
    try:
        wait_for(handle, folder, report, work, sign)
        write_json(folder / "writer.json", identity())
        stop = threading.Event()
        heartbeat = threading.Thread(target=keep_fresh, args=(folder / "writer.json", stop), daemon=True)
        heartbeat.start()
        try:
            yield
        finally:
            stop.set()
            heartbeat.join()
            (folder / "writer.json").unlink(missing_ok=True)
    finally:
        handle.close()


def wait_for(handle: Any, folder: Path, report: Callable[[str], None], work: str, sign: Path | None) -> None:
    patience = 60 * float(os.environ.get("DEEPSCALER_LOCK_WAIT", WAIT_MINUTES))
    since, seen, reported = time.monotonic(), size_of(sign), False
    while True:
        if try_lock(handle) and not held_elsewhere(folder):
            return
        holder = describe_holder(folder)
        if (size := size_of(sign)) != seen:
            since, seen = time.monotonic(), size
        if time.monotonic() >= since + patience:
            raise JobError(f"another job is {work}: {holder}", folder, "let it finish, or stop it, then run again")
        if not reported:
            report(f"waiting: another job is {work} ({holder})")
            reported = True
        time.sleep(min(1.0, HEARTBEAT_SECONDS))


def size_of(sign: Path | None) -> int:
    return sign.stat().st_size if sign and sign.exists() else 0


def try_lock(handle: Any) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
    return True  # also where the file system has no locks: then only the holder's heartbeat shows that it lives


def held_elsewhere(folder: Path) -> bool:
    """Whether a process of another computer (or container) holds the folder and has a recent heartbeat."""
    holder = read_holder(folder)
    if not holder or holder.get("host") == socket.gethostname():
        return False  # on this computer the lock itself decides
    return seconds_since_heartbeat(folder) < STALE_SECONDS


def seconds_since_heartbeat(folder: Path) -> float:
    """By the file system's clock; infinite where there is no holder."""
    probe = folder / f".clock.{os.getpid()}"
    try:
        probe.touch()
        return probe.stat().st_mtime - (folder / "writer.json").stat().st_mtime
    except FileNotFoundError:
        return float("inf")
    finally:
        probe.unlink(missing_ok=True)


def keep_fresh(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        try:
            os.utime(path)
        except OSError:
            continue


def identity() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "job": os.environ.get("SLURM_JOB_ID"),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def read_holder(folder: Path) -> dict[str, Any]:
    try:
        holder = read_json(folder / "writer.json")
    except UserError:
        return {}
    return holder if isinstance(holder, dict) else {}


def describe_holder(folder: Path) -> str:
    holder = read_holder(folder)
    if not holder:
        return "it has not recorded its name yet"
    job = f", SLURM job {holder['job']}" if holder.get("job") else ""
    return printable(f"process {holder.get('pid')} on {holder.get('host')}{job}, since {holder.get('since')}")
