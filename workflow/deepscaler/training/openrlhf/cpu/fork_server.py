"""Python processes forked from a server that has all modules loaded, in place of new interpreters.

A launch is half a dozen Python processes (driver, trainer, actor, reference, rollout, vLLM's engine), and each would
import the same six thousand modules: some 15 CPU-seconds, six times. Here the driver imports them once and forks a
server before it starts Ray. Ray and multiprocessing are given an executable that is not Python but a small client: it
asks the server to fork, hands over its arguments, environment, folder and open files, and stays in place of the child,
passing signals one way and the exit code the other. Memory pages that are only read stay shared between the processes.

On one computer and a CPU build only: CUDA cannot be used in a process that was forked after it had started.
"""

import array
import contextlib
import fcntl
import gc
import importlib
import json
import multiprocessing
import os
import random
import runpy
import selectors
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Any

VARIABLE = "DEEPSCALER_FORK_SERVER"
"""The server's socket, for the client."""
MODULES = (
    "openrlhf.models",
    "openrlhf.utils.deepspeed",
    "openrlhf.datasets.utils",
    "datasets",
    "torch.utils.tensorboard",
    "vllm.engine.arg_utils",
    "vllm.model_executor.models.qwen2",
    "vllm.v1.core.sched.scheduler",
    "vllm.v1.worker.cpu_worker",
    "vllm.v1.engine.output_processor",
)
"""All that is heavy, and nothing that imports Ray: its core reads the environment once, when it is loaded, and a worker
needs its own."""
MAX_FILES = 200
POLL_SECONDS = 0.05


def start(folder: Path) -> str:
    """Import what all processes need, fork the server, and return the executable to use in place of Python."""
    for name in MODULES:
        importlib.import_module(name)
    if "ray" in sys.modules:
        raise RuntimeError("a module of MODULES imports Ray, which must not be loaded before the fork")
    client = folder / "python"
    client.write_text(f"#!{sys.executable} -ISu\n{CLIENT}", encoding="utf-8")
    client.chmod(client.stat().st_mode | stat.S_IXUSR)
    path = str(folder / "fork-server")
    os.environ[VARIABLE] = path
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(64)
    gc.collect()
    gc.freeze()  # or the collector would write to pages that are to stay shared
    if os.fork() == 0:
        multiprocessing.set_executable(str(client))  # vLLM's engine is a process of the rollout actor
        serve(listener)
    listener.close()
    return str(client)


def serve(listener: socket.socket) -> None:
    """Fork a child for each client until the driver is gone; never returns."""
    driver = os.getppid()
    clients: dict[int, socket.socket] = {}  # child → its client
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while os.getppid() == driver:
        for key, _ in selector.select(POLL_SECONDS):
            if key.fileobj is listener:
                connection, _address = listener.accept()
                request, files = receive(connection)
                if request is not None:
                    child = fork(request, files, [listener, connection, *clients.values()])
                    clients[child] = connection
                    selector.register(connection, selectors.EVENT_READ, child)
                    connection.sendall(f"{child}\n".encode())
                for number in files:
                    os.close(number)
            else:  # the connection has ended: the client was killed, and its child must end too
                selector.unregister(key.fileobj)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(key.data, signal.SIGKILL)
        for child, status in ended_children():
            connection = clients.pop(child)
            with contextlib.suppress(KeyError):
                selector.unregister(connection)
            with contextlib.suppress(OSError):
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            connection.close()
    os._exit(0)


def ended_children() -> Any:
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if child == 0:
            return
        yield child, status


def receive(connection: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """A request and the open files that came with it; None where the client was killed meanwhile."""
    size = array.array("i").itemsize
    data, ancillary, _flags, _address = connection.recvmsg(1 << 20, socket.CMSG_SPACE(MAX_FILES * size))
    files = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            files.frombytes(content[: len(content) - len(content) % size])
    while data and not data.endswith(b"\n"):
        more = connection.recv(1 << 20)
        if not more:
            return None, list(files)
        data += more
    return (json.loads(data) if data else None), list(files)


def fork(request: dict[str, Any], files: list[int], foreign: list[socket.socket]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        for other in foreign:
            other.close()
        become(request, files)
        code = run(request["arguments"])
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
    os._exit(code)


def become(request: dict[str, Any], files: list[int]) -> None:
    """Take over the client's open files under their numbers, its environment and folder, in a new session."""
    os.setsid()
    high = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 500) for number in files]
    for number in files:
        os.close(number)
    for source, number in zip(high, request["files"], strict=True):
        os.dup2(source, number, inheritable=number < 3)
        os.close(source)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    random.seed()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)


def run(arguments: list[str]) -> int:
    """What Python would do with these arguments: `-c CODE`, `-m MODULE` or a file, after flags that change nothing."""
    while arguments and arguments[0].startswith("-") and arguments[0] not in ("-c", "-m"):
        arguments = arguments[1:]
    sys.argv = arguments[1:] if arguments[0] in ("-c", "-m") else arguments
    try:
        if arguments[0] == "-c":
            sys.argv = ["-c", *arguments[2:]]
            main = type(sys)("__main__")
            sys.modules["__main__"] = main
            exec(compile(arguments[1], "<string>", "exec"), vars(main))
        elif arguments[0] == "-m":
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as request:
        if request.code is None or isinstance(request.code, int):
            return request.code or 0
        print(request.code, file=sys.stderr)
        return 1
    return 0


CLIENT = """
# Asks the server of deepscaler/training/openrlhf/cpu/fork_server.py for a process, and acts in its place.
import array, json, os, signal, socket, sys

connection = socket.socket(socket.AF_UNIX)
connection.connect(os.environ["DEEPSCALER_FORK_SERVER"])
files = [int(name) for name in os.listdir("/proc/self/fd")]
files = sorted(n for n in files if n != connection.fileno() and os.path.exists(f"/proc/self/fd/{n}"))
request = {"arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd(), "files": files}
data = json.dumps(request).encode() + b"\\n"
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
sent = connection.sendmsg([data], rights)
connection.sendall(data[sent:])
answers = connection.makefile()
child = int(answers.readline())
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda number, frame: os.kill(child, number))
for number in files:
    os.close(number)  # the child's pipes end with the child
code = answers.readline()
if code and int(code) < 0:
    signal.signal(-int(code), signal.SIG_DFL) if -int(code) != signal.SIGKILL else None
    os.kill(os.getpid(), -int(code))
os._exit(int(code) if code else 1)
"""
