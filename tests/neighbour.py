"""Another user of the same computer: what the ports of a launch say to someone who lacks its token.

As a program it becomes that user and tries them; the tests start it with `attack`.

    python neighbour.py UID < what to try, JSON    prints what came of it, JSON
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOBODY = 65534
WRONG = "Bearer " + "0" * 64
ATTACK_SECONDS = 120
PROBE_SECONDS = 3
JOBS = "/api/job_agent/jobs/"
CALLS = [
    "NodeInfoGcsService/GetAllNodeInfo",
    "NodeManagerService/GetSystemConfig",
    "ObjectManagerService/FreeObjects",
    "CoreWorkerService/NumPendingTasks",
    "ReporterService/HealthCheck",
    "RayletDriver/ClusterInfo",
]
"""A harmless call of each of Ray's gRPC services; the last is the server for remote clients (`ray://`)."""
KEEP_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""His Ray would ask for 127.0.0.1 at the computer's outward address."""
SCRIPTS = ("monitor.py", "dashboard.py", "log_monitor.py")

# What a port answers, as Ray's owner would want it …
GRPC_REFUSES, HTTP_REFUSES, COUNTERS = "gRPC, refuses", "HTTP, refuses", "counters for Prometheus"
# … as he would not …
GRPC_OBEYS, HTTP_OBEYS = "gRPC, obeys", "HTTP, obeys"
# … and what torch opens
STORE, SILENT = "torch's store, obeys", "silent"


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket: of which process, and on which address."""

    address: str
    port: int
    pid: int
    owner: str

    @property
    def loopback(self) -> bool:
        return self.address.removeprefix("::ffff:").startswith("127.") or self.address == "::1"

    @property
    def reached_at(self) -> str:
        return "127.0.0.1" if self.address in ("0.0.0.0", "::") else self.address.removeprefix("::ffff:")


Answers = list[tuple[Listener, str]]

# What a launch has open


def processes_with(variable: str, value: str) -> set[int]:
    """Processes whose environment has this variable, and what they started."""
    needle, children, found = f"{variable}={value}".encode(), dict[int, list[int]](), set[int]()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
            if int(entry.name) != os.getpid() and needle in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
    todo = list(found)
    while todo:
        new = set(children.get(todo.pop(), [])) - found
        found |= new
        todo += new
    return found


def value_of(variable: str, pid: int) -> str:
    """The value of a variable in the environment of a process or of the first that it started and that has it."""
    todo = [pid]
    while todo:
        entry = Path(f"/proc/{todo.pop(0)}")
        with contextlib.suppress(OSError):
            for line in (entry / "environ").read_text(errors="replace").split("\0"):
                if line.startswith(f"{variable}="):
                    return line.partition("=")[2]
            todo += map(int, (entry / f"task/{entry.name}/children").read_text().split())
    raise LookupError(f"neither process {pid} nor what it started has {variable}")


def places_of(secret: str, *folders: Path) -> list[str]:
    """Where a secret can be read that is to be in environments alone: command lines, and files of these folders."""
    needle, found = secret.encode(), []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if needle in path.read_bytes():
                found.append(str(path))
    for folder in folders:
        files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        found += [str(path) for path in files if needle in path.read_bytes()]
    return found


def listeners(pids: Iterable[int]) -> list[Listener]:
    """All listening TCP sockets of these processes."""
    owners: dict[str, int] = {}
    for pid in sorted(pids):
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if inode := re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink())):
                        owners.setdefault(inode[1], pid)
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in owners:
                address, _, port = fields[1].partition(":")
                pid = owners[fields[9]]
                found.append(Listener(readable(address), int(port, 16), pid, owner_of(pid)))
    return sorted(found, key=lambda one: (one.owner, one.pid, one.port))


def readable(address: str) -> str:
    """The kernel writes words of four bytes in the computer's own order."""
    words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    raw = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def owner_of(pid: int) -> str:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    for script in SCRIPTS:
        if any(word.endswith("/" + script) for word in command):
            return script
    name = Path(command[0]).name
    if name in ("gcs_server", "raylet", "srun", "salloc"):
        return name
    if command[0].startswith("ray::"):
        title = command[0].split()[0].removeprefix("ray::")
        return title if title in ("DashboardAgent", "RuntimeEnvAgent") else "worker"
    if any(re.fullmatch(r".*/launch\.py|deepscaler\.training(\.\w+)*\.driver", word) for word in command):
        return "worker"  # the driver, or an actor or engine that was forked from it
    return " ".join(command)[:60]


# What it says to a neighbour


def attack(request: dict[str, Any], uid: int = NOBODY) -> dict[str, Any]:
    """Have another user try it. His computer has the same packages; the launch's variables he has not."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "DEEPSCALER_"))}
    command = [sys.executable, "-W", "ignore", __file__, str(uid)]
    run = subprocess.run(
        command,
        input=json.dumps(request),
        env=own | {"HOME": "/nonexistent", "RAY_USAGE_STATS_ENABLED": "0", **KEEP_LOOPBACK},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=ATTACK_SECONDS,
        check=False,
    )
    if not run.stdout:
        raise RuntimeError(run.stderr[-3000:])
    answer: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return answer


def answers_of(found: list[Listener], command: str) -> Answers:
    """What each says to a neighbour, who also asks it to run a command."""
    request = {"sockets": [[one.reached_at, one.port] for one in found], "command": command}
    return list(zip(found, attack(request)["sockets"], strict=True))


def gcs_of(found: list[Listener]) -> str:
    """The address of Ray's GCS."""
    [one] = [one for one in found if one.owner == "gcs_server"]
    return f"{one.reached_at}:{one.port}"


def table(answers: Answers) -> str:
    """Kinds of sockets with their number, for a person."""
    kinds = Counter((one.owner, answer, one.address.removeprefix("::ffff:")) for one, answer in answers)
    return "\n".join(f"{number:3} × {owner} · {answer} · {at}" for (owner, answer, at), number in sorted(kinds.items()))


def unexplained(
    answers: list[tuple[Listener, str]], reasons: dict[tuple[str, str], str], beyond: set[str]
) -> list[str]:
    """Sockets of no kind that has a reason, and those that are open beyond loopback without one."""
    wrong = []
    for one, answer in answers:
        if (one.owner, answer) not in reasons:
            wrong.append(f"{one.owner} at {one.address}:{one.port} has no reason: {answer}")
        elif not one.loopback and (one.owner, answer) not in beyond:
            wrong.append(f"{one.owner} at {one.address}:{one.port} is open beyond loopback: {answer}")
    return wrong


# The neighbour himself


def main() -> None:
    import argparse  # noqa: F401  (all now: he may not be able to read this user's Python)
    import gettext  # noqa: F401
    import optparse  # noqa: F401

    import grpc
    import ray  # noqa: F401
    from ray._raylet import GcsClient  # noqa: F401

    os.setgroups([])
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
    request = json.load(sys.stdin)
    told: dict[str, Any] = {"uid": os.getuid()}
    with concurrent.futures.ThreadPoolExecutor(48) as pool:
        sockets = request.get("sockets", [])
        told["sockets"] = list(pool.map(lambda at: what_answers(grpc, *at, request["command"]), sockets))
    if address := request.get("gcs"):
        told["gcs"] = outcome(lambda: ask_gcs(address))
        told["driver"] = "died on its way"  # as it does in a Ray that lets it in: the files are another's
        print(json.dumps(told), flush=True)
        told["driver"] = outcome(lambda: join(address))
    print(json.dumps(told), flush=True)
    os._exit(0)


def outcome(action: Any) -> str:
    try:
        return f"done: {action()}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"


def ask_gcs(address: str) -> str:
    from ray._raylet import GcsClient

    client = GcsClient(address=address)
    put = client.internal_kv_put(b"neighbour", b"was here", True, None, timeout=10)
    return f"{put} key written, nodes: {len(client.get_all_node_info(timeout=10))}"


def join(address: str) -> str:
    import ray

    ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    return f"nodes: {len(ray.nodes())}"


def what_answers(grpc: Any, host: str, port: int, command: str) -> str:
    """Try HTTP, Ray's gRPC and torch's store: without a token, and where there is room for one with a wrong one."""
    status = post_job(host, port, command, {})
    if status is not None:
        if {status, post_job(host, port, command, {"Authorization": WRONG})} <= {401, 403}:
            return HTTP_REFUSES
        return COUNTERS if counters_only(host, port) else HTTP_OBEYS
    codes = grpc_statuses(grpc, f"{host}:{port}")
    if codes:
        return GRPC_REFUSES if codes <= {"UNAUTHENTICATED", "UNIMPLEMENTED"} else GRPC_OBEYS
    return STORE if ask_store(host, port) else SILENT


def post_job(host: str, port: int, command: str, headers: dict[str, str]) -> int | None:
    """Ask Ray's agent to run a command: the status, or None where no HTTP is spoken."""
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_SECONDS)
    body = json.dumps({"entrypoint": command})
    try:
        connection.request("POST", JOBS, body, {"Content-Type": "application/json", **headers})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def counters_only(host: str, port: int) -> bool:
    """Whether it is prometheus_client's server, which answers every request with the same numbers."""
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_SECONDS)
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/")
        text = connection.getresponse().read().decode(errors="replace")
        return all(re.match(r"#|[a-zA-Z_:]\w*[{ ]|$", line) for line in text.splitlines())
    return False


def grpc_statuses(grpc: Any, address: str) -> set[str]:
    """The statuses of the calls, each with an empty request; none where no gRPC is spoken."""
    statuses = set()
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=PROBE_SECONDS)
        except grpc.FutureTimeoutError:
            return set()
        for call in CALLS:
            for metadata in ((), (("authorization", WRONG),)):
                try:
                    channel.unary_unary(f"/ray.rpc.{call}")(b"", timeout=PROBE_SECONDS, metadata=metadata)
                    statuses.add("OK")
                except grpc.RpcError as error:
                    statuses.add(error.code().name)
    return statuses


def ask_store(host: str, port: int) -> bool:
    """Whether torch's TCPStore tells how many keys it has: its greeting, and the question, as torch's client sends."""
    greeting, magic, count_keys = 0, 0x3C85F7CE, 7
    with contextlib.suppress(OSError), socket.create_connection((host, port), PROBE_SECONDS) as connection:
        connection.sendall(struct.pack("<BIB", greeting, magic, count_keys))
        return len(connection.recv(8)) == 8
    return False


if __name__ == "__main__":
    main()
