"""usage: python -I grade.py OPINION SECONDS MEGABYTES < QUESTIONS > VERDICTS    asks one harness, by its own Python

In, a line of JSON: {"gold", "completion"}. Out, in the order of the questions, {"correct", "reason"}.
Completions are untrusted: each is graded in a child process that can write no file, start no program and
open no connection, and that is killed after SECONDS; MEGABYTES is what it may take beyond what it starts with.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from functions import Function, load

REFUSED = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.kill", "os.killpg"),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"),
    *("subprocess.Popen", "shutil.", "socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "ctypes."),
    *("pty.spawn", "signal.pthread_kill", "code.__new__"),
)
"""Beginnings of the names of events (PEP 578) that no grading needs."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def main(name: str, seconds: float, megabytes: int) -> None:
    verdicts = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # harnesses print
    function = load(name)
    questions = [json.loads(line) for line in sys.stdin]
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        for verdict in graded(function, questions, seconds, megabytes):
            print(json.dumps(verdict), file=verdicts)


def graded(function: Function, questions: list[dict[str, str]], seconds: float, megabytes: int) -> Iterator[Any]:
    """A verdict for each question; a child that is killed, or dies, has its question counted as wrong."""
    done = 0
    while done < len(questions):
        child = Child(partial(answer, function, questions[done:], megabytes))
        for line in child.lines(seconds):
            yield json.loads(line)
            done += 1
        if done < len(questions):
            yield {"correct": False, "reason": child.why}
            done += 1


class Child:
    """A forked process, whose lines are read as long as each comes in time."""

    def __init__(self, work: Callable[[], Iterator[dict[str, Any]]]) -> None:
        self.why = "stopped: the process died"
        self.pipe, into = os.pipe()
        self.number = os.fork()
        if self.number == 0:
            die_with_parent()
            os.close(self.pipe)
            try:
                for verdict in work():
                    os.write(into, json.dumps(verdict).encode() + b"\n")
            finally:
                os._exit(0)
        os.close(into)

    def lines(self, seconds: float) -> Iterator[bytes]:
        """Until the child ends, or is late with one, for which it is killed."""
        rest = b""
        try:
            while True:
                if not select.select([self.pipe], [], [], seconds)[0]:
                    self.why = f"stopped: over {seconds:g} s"
                    return
                chunk = os.read(self.pipe, 1 << 16)
                if not chunk:
                    return
                *whole, rest = (rest + chunk).split(b"\n")
                yield from whole
        finally:
            os.kill(self.number, signal.SIGKILL)
            os.waitpid(self.number, 0)
            os.close(self.pipe)


def die_with_parent() -> None:
    """What hangs must not outlive the process that would kill it."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def answer(function: Function, questions: list[dict[str, str]], megabytes: int) -> Iterator[dict[str, Any]]:
    confine(megabytes)
    for question in questions:
        try:
            correct = function(question["gold"], question["completion"])
            yield {"correct": correct, "reason": ""}
        except BaseException as error:  # math-verify's time limit is no Exception
            yield {"correct": False, "reason": f"error: {type(error).__name__}"}


def confine(megabytes: int) -> None:
    """Take from this process what grading does not need. It holds until the process ends."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    memory = pages * resource.getpagesize() + (megabytes << 20)
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))
    sys.dont_write_bytecode = True
    sys.addaudithook(refuse)


def refuse(event: str, details: tuple[Any, ...]) -> None:
    if event.startswith(REFUSED):
        raise PermissionError(f"grading may not do this: {event}")
    if event == "open" and isinstance(details[2], int) and details[2] & WRITES and details[0] != os.devnull:
        raise PermissionError("grading may write no file")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
