"""The pool's side of the fork server and of its workers; `fork_server` is the other side."""

import os
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

from deepscaler.errors import JobError
from deepscaler.reward.pool.wire import Inbox, send
from deepscaler.reward.verdicts import Mode, ThinkRule

Pair = tuple[tuple[str, ...], str, Mode]
"""Golds, prediction and mode: to be graded."""
Response = tuple[str, Mode, ThinkRule]
"""A whole response, whose answer is to be found."""
Task = Pair | Response
Outcome = tuple[bool | str | None, str]
"""Whether a pair is right, or a response's answer; None where there is none. And the reason."""

MODULE = "deepscaler.reward.pool.fork_server"
START_SECONDS = 120.0
STARVED = 0.2
"""Share of the deadline: a task with less processor time was starved by other programs, it was not slow."""
MAX_DEADLINES = 10
"""Deadlines that a starved task gets at most: a verdict should not depend on what else the machine does."""


class ForkServer:
    """Starts the process of `fork_server`, has it fork workers and kill them. Not thread-safe by itself."""

    def __init__(self, memory_mb: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        package_root = str(Path(__file__).resolve().parents[3])
        paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE, str(theirs.fileno()), str(memory_mb)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            )
        self.control = ours
        ours.settimeout(START_SECONDS)
        if self._answer() != b"ready":
            self.close()
            raise JobError("the grading workers did not start", where=sys.executable)

    def _answer(self) -> bytes:
        try:
            return self.control.recv(32)
        except OSError:
            return b""

    def fork(self) -> "Worker":
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.control, [b"+"], [theirs.fileno()])
        pid = self._answer()
        if not pid:
            ours.close()
            raise OSError("the fork server has ended")
        return Worker(ours, int(pid))

    def kill(self, worker: "Worker") -> None:
        worker.connection.close()
        self.control.send(b"-%d" % worker.pid)

    def close(self) -> None:
        self.control.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Worker:
    """One worker process and the tasks it has been sent."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.connection, self.pid = connection, pid
        self.inbox = Inbox()
        self.tasks: deque[Task] = deque()
        self.retried_once: Task | None = None
        """The task that an earlier worker crashed at, and that this one grades again."""
        self.deadline = 0.0
        self.last_deadline = 0.0
        self.cpu = 0.0
        self.graded = 0
        connection.settimeout(10)

    def assign(self, tasks: list[Task], seconds: float) -> None:
        self.tasks.extend(tasks)
        self.start_clock(seconds)
        with suppress(OSError):  # it has died: the next read of its connection shows that
            send(self.connection, tasks)

    def collect(self, seconds: float) -> list[tuple[Task, Outcome]] | None:
        """Outcomes that have arrived, or None when the worker has died."""
        try:
            piece = self.connection.recv(1 << 16)
        except OSError:
            return None
        if not piece:
            return None
        outcomes: list[tuple[Task, Outcome]] = [
            (self.tasks.popleft(), (result, reason)) for result, reason in self.inbox.feed(piece)
        ]
        self.graded += len(outcomes)
        self.start_clock(seconds)
        return outcomes

    def start_clock(self, seconds: float) -> None:
        """Set the deadline of the current task, `seconds` from now."""
        self.deadline = time.monotonic() + seconds
        self.last_deadline = self.deadline + MAX_DEADLINES * seconds
        self.cpu = cpu_seconds(self.pid)

    def is_overdue(self, now: float, seconds: float) -> bool:
        """Whether the current task is beyond its deadline. A starved one gets another, up to MAX_DEADLINES."""
        if now < self.deadline:
            return False
        if now < self.last_deadline and cpu_seconds(self.pid) - self.cpu < STARVED * seconds:
            self.deadline = now + seconds
            return False
        return True


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, in seconds; 0 where the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0
