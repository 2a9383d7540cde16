"""Stops every process of a launch, whatever ends the launch.

Ray, DeepSpeed and vLLM start processes that start processes, in sessions of their own; when their parent is killed
some stay. All inherit one environment variable with a token of the launch, so they can be found without guessing from
names. A reaper waits for the end of its standard input, which comes when the launching process closes it or dies in
any way, then stops what carries the token and removes the launch's temporary folder.

    python -m deepscaler.training.launch.reaper TOKEN FOLDER

A scheduler kills all processes of a job at once, the reaper too; then only the folder stays. It is locked for as long
as its launch or its reaper lives, so the next launch on that computer finds it unlocked and removes it.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepscaler.training.launch import shield

VARIABLE = "DEEPSCALER_LAUNCH"
GRACE_SECONDS = 2.0
TEMPORARY = Path("/tmp")
"""Not TMPDIR: the path of a Unix socket is 107 bytes at most."""
PREFIX = "dsr-"
LOCK = "in-use"
NEW_SECONDS = 60
"""A folder as young as this may not be locked yet."""


@contextmanager
def reaped(token: str) -> Iterator[Path]:
    """A temporary folder; at the end it and what carries the token are gone, also if this process is killed."""
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=TEMPORARY))
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start(token, folder, lock.fileno())
        assert process.stdin is not None
        try:
            yield folder
        finally:
            process.stdin.close()
            process.wait()


def sweep() -> None:
    """Remove this user's folders of launches that are gone, reaper and all."""
    for lock in TEMPORARY.glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError):  # held, someone else's, or gone meanwhile
            descriptor = os.open(lock, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)  # a pipe must not be waited for
            try:
                status = os.fstat(descriptor)
                ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
                if ours and time.time() - status.st_mtime >= NEW_SECONDS:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(lock.parent, ignore_errors=True)
            finally:
                os.close(descriptor)


def start(token: str, folder: Path, lock: int | None = None) -> "subprocess.Popen[bytes]":
    """A reaper that acts when its stdin is closed; its session is its own, so that it outlasts this process."""
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    return subprocess.Popen(
        [sys.executable, "-m", "deepscaler.training.launch.reaper", token, str(folder)],
        stdin=subprocess.PIPE,
        env=environment,
        start_new_session=True,
        pass_fds=() if lock is None else (lock,),
    )


def carriers(token: str, variable: str = VARIABLE) -> list[int]:
    """This user's processes on this computer whose environment carries the token, but for this one.

    Root can read everyone's. A token that `ps` shows can be carried by anyone: such processes are not the launch's, and
    could be started anew for ever.
    """
    needle = f"{variable}={token}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if entry.stat().st_uid != os.geteuid():
                continue
            if needle in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # gone, or someone else's
    return found


def stop_all(token: str, grace: float = GRACE_SECONDS) -> int:
    """End each process that carries the token; returns how many there were.

    SIGTERM, and SIGKILL after `grace` seconds; to those that are shielded from SIGTERM at once.
    """
    seen: set[int] = set()
    deadline = time.monotonic() + grace
    while pids := [pid for pid in carriers(token) if not is_zombie(pid)]:
        late = time.monotonic() >= deadline
        for pid in pids:
            if late or shield.is_shielded(pid):
                send(pid, signal.SIGKILL)
            elif pid not in seen:
                send(pid, signal.SIGTERM)
        seen.update(pids)
        time.sleep(0.1)
    return len(seen)


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True


def main() -> None:
    token, folder = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    stop_all(token)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
