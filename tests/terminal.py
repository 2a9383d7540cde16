"""Programs on a terminal of their own, as a person starts them."""

import os
import pty
import signal
import time
from collections.abc import Mapping


def hear_ctrl_c() -> None:
    """In a program that is about to start.

    A shell that is not interactive starts `command &` deaf to Ctrl-C, and so is all that descends from it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(command: list[str], environment: Mapping[str, str], folder: str | os.PathLike[str] = ".") -> tuple[int, int]:
    """Process id and terminal of a program that Ctrl-C ends, also where the tests run in the background."""
    pid, terminal = pty.fork()
    if pid == 0:
        hear_ctrl_c()
        os.chdir(folder)
        os.execve(command[0], command, environment)
    return pid, terminal


def end(pid: int, terminal: int) -> int:
    """The exit code of a program that leaves its terminal; one that does not is killed after ten seconds."""
    for _ in range(100):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status)
