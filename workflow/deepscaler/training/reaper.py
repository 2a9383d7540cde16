"""Stops every process of a launch, whatever ends the launch.

Ray, DeepSpeed and vLLM start processes that start processes, in sessions of their own; when their parent is killed
some stay. All inherit one environment variable with a token of the launch, so they can be found without guessing from
names. A reaper waits for the end of its standard input, which comes when the launching process closes it or dies in
any way, then stops what carries the token and removes the launch's temporary folder.

    python -m deepscaler.training.reaper TOKEN FOLDER
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

VARIABLE = "DEEPSCALER_LAUNCH"
GRACE_SECONDS = 2.0


def start(token: str, folder: Path) -> "subprocess.Popen[bytes]":
    """A reaper that acts when its stdin is closed; outside this process's session, so that it outlives it."""
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    return subprocess.Popen(
        [sys.executable, "-m", "deepscaler.training.reaper", token, str(folder)],
        stdin=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


def carriers(token: str) -> list[int]:
    """Processes of this computer whose environment carries the token."""
    needle = f"{VARIABLE}={token}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if needle in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # gone, or someone else's
    return found


def stop_all(token: str) -> int:
    """Ask them to end, then make them; returns how many there were."""
    seen: set[int] = set()
    deadline = time.monotonic() + GRACE_SECONDS
    while pids := [pid for pid in carriers(token) if not is_zombie(pid)]:
        number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        for pid in pids:
            if number == signal.SIGKILL or pid not in seen:
                send(pid, number)
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
