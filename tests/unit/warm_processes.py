"""Processes of their own for tests that need some: forked from one that has imported everything, once a test file.

A new interpreter for each would import the same modules again, which takes seconds; what such a test is about begins
after that.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SERVER = """
import importlib, json, os, sys, traceback

for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
own = os.dup(1)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        code = 1
        try:
            for number, path in enumerate(asked["files"]):
                os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), number)
            os.environ.clear()
            os.environ.update(asked["environment"])
            sys.argv[1:] = asked["arguments"]
            exec(asked["code"], {"__name__": "__main__"})
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException:
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    os.write(own, b"%d\\n" % child)
    os.write(own, b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@dataclass(frozen=True)
class Process:
    """One that runs; the server begins the next when it has ended."""

    pid: int
    answers: IO[str]
    files: tuple[Path, Path]

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Its exit code, negative for a signal."""
        return int(self.answers.readline())

    def completed(self) -> subprocess.CompletedProcess[str]:
        code = self.wait()
        return subprocess.CompletedProcess([], code, *(path.read_text(encoding="utf-8") for path in self.files))


@dataclass(frozen=True)
class Server:
    """Starts a process, one at a time."""

    process: "subprocess.Popen[str]"

    def start(self, folder: Path, code: str, *arguments: str, environment: Mapping[str, str]) -> Process:
        """A process that runs `code`, with its output in new files in the folder."""
        assert self.process.stdin
        assert self.process.stdout
        number = sum(1 for _ in folder.glob("output-*"))
        files = tuple(folder / f"{name}-{number}" for name in ("output", "errors"))
        asked = {
            "files": [os.devnull, *map(str, files)],
            "environment": dict(environment),
            "arguments": arguments,
            "code": code,
        }
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return Process(int(self.process.stdout.readline()), self.process.stdout, (files[0], files[1]))


@contextmanager
def warm(modules: list[str], environment: Mapping[str, str]) -> Iterator[Server]:
    """A server that has imported the modules, in this environment: what they read of it when imported holds for all."""
    command = [sys.executable, "-c", SERVER, json.dumps(modules)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(environment)
    ) as process:
        yield Server(process)
        assert process.stdin
        process.stdin.close()
