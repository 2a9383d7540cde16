"""The process that forks the grading workers: it has SymPy loaded, forks on request, and waits for those that end.

`worker.ForkServer` starts one as `python -m deepscaler.reward.pool.fork_server FD MEMORY_MB`. On the Unix socket FD it
takes two commands, one a message: `+`, with a socket attached, forks a worker that serves that socket, and is answered
with the worker's process id; `-PID` kills that worker. It ends, and its workers with it, when its parent closes the
socket.

Forking from here costs milliseconds where a fresh interpreter costs a second, and is safe: this process has one
thread, whatever its parent has. Only the workers' own parent signals them, so a recycled process id is never hit.
"""

import gc
import os
import resource
import signal
import socket
import sys
import warnings
from typing import Any

from deepscaler.reward.grade import grade_pair
from deepscaler.reward.pool.wire import messages, send
from deepscaler.reward.response import answer_of

RECURSION = 2000


def serve(connection: socket.socket) -> None:
    """Carry out tasks until the other end closes: lists of `worker.Task` come in, `worker.Outcome` goes out."""
    for chunk in messages(connection):
        for task in chunk:
            send(connection, outcome(*task))


def outcome(first: Any, second: Any, third: Any) -> tuple[bool | str | None, str]:
    """Of a pair, whose first part is the list of golds, whether it is right; of a response its answer."""
    if isinstance(first, list):
        verdict = grade_pair(first, second, third)
        return verdict.correct, verdict.reason
    found = answer_of(first, second, third)
    return (found, "") if isinstance(found, str) else (None, found.reason)


def work(connection: socket.socket, memory_mb: int) -> None:
    limit = memory_mb << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(RECURSION)
    serve(connection)


def fork(control: socket.socket, descriptor: int, memory_mb: int) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            control.close()
            work(socket.socket(fileno=descriptor), memory_mb)
        except BrokenPipeError:  # the pool has closed; nobody waits for this verdict
            pass
        finally:
            os._exit(0)
    os.close(descriptor)
    return pid


def reap(workers: set[int]) -> None:
    workers -= {pid for pid in workers if os.waitpid(pid, os.WNOHANG)[0]}


def main(control: socket.socket, memory_mb: int) -> None:
    """Carry out commands from `control` until it closes."""
    workers: set[int] = set()
    control.send(b"ready")
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 32, 1)
        reap(workers)
        if not message:
            break
        if message == b"+":
            pid = fork(control, descriptors[0], memory_mb)
            workers.add(pid)
            control.send(str(pid).encode())
        elif (pid := int(message[1:])) in workers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            workers.discard(pid)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)


def load_libraries() -> None:
    """Import and exercise what grading needs, so that no task has to wait for it."""
    warnings.simplefilter("ignore")
    for gold, answer in (
        (r"\frac{1}{2}", r"\sqrt{x}+\frac{2}{4}"),
        (r"\sqrt{8}", r"2\sqrt{2}"),
        ("odd", r"\alpha"),
        (r"\foo(", "x)"),
    ):
        grade_pair(gold, answer, "paper")
        grade_pair(gold, answer, "strict")
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is handled by the parent; this process ends when the socket closes
    load_libraries()
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
