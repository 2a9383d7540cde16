"""Another user of the same computer attacks a launch on one node: he gets nothing from its ports but refusals.

The same attacks on a Ray without its token succeed, so that they can. All stays on loopback.
"""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neighbour
import pytest
from deepscaler.training.launch import driver, ray_access, reaper
from neighbour import COUNTERS, GRPC_OBEYS, GRPC_REFUSES, HTTP_OBEYS, HTTP_REFUSES, SILENT, STORE, Answers, Listener
from test_training_chain import Chain, base, before, chain  # noqa: F401  (fixtures)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user to attack as"),
]

REASONS = {
    ("gcs_server", GRPC_REFUSES): "Ray's record of nodes, actors and keys",
    ("raylet", GRPC_REFUSES): "Ray's node: starts workers; hands objects over",
    ("DashboardAgent", HTTP_REFUSES): "Ray's agent, which takes jobs; it can't be left out",
    ("DashboardAgent", GRPC_REFUSES): "Ray's agent: counts what processes use",
    ("DashboardAgent", COUNTERS): "numbers of the agent's, which every user may read in `ps` as well",
    ("RuntimeEnvAgent", HTTP_REFUSES): "Ray's agent that makes workers' environments",
    ("monitor.py", COUNTERS): "numbers of Ray's autoscaler, which scales nothing here",
    ("dashboard.py", COUNTERS): "numbers of Ray's dashboard, which has no page here",
    ("worker", GRPC_REFUSES): "calls between the driver and Ray's actors",
    ("worker", SILENT): "gloo: gradients and weights between processes",
    ("worker", STORE): "where torch's process groups meet",
}
"""Every kind of socket that a launch on one node has, and what for."""
BEYOND_LOOPBACK = {("worker", STORE)}
"""torch's TCPStore listens on all interfaces, and nothing sets another (torch/csrc/distributed/c10d). Who reaches it
can disturb or divert the process groups that meet there: SECURITY.md."""
FIXED_PORTS = {("DashboardAgent", HTTP_REFUSES), ("monitor.py", COUNTERS), ("dashboard.py", COUNTERS)}
"""Not there while another Ray of this computer has their ports, as Ray does without them then."""

RAY = """
import sys
from deepscaler.training.launch import ray_access
from deepscaler.training.launch.driver import start_ray
from deepscaler.training.launch.spec import RayCluster
from ray._private.parameter import RayParams

init = RayParams.__init__  # a free port for the agent: another Ray of this computer may have its usual one
RayParams.__init__ = lambda self, **given: init(self, **{"dashboard_agent_listen_port": 0, **given})
if sys.argv[2] == "open":
    ray_access.require_token = lambda: None
start_ray(
    RayCluster(
        address=None, node_address=None, nodes=1, cpus=2, gpus=0,
        folder=sys.argv[1] + "/ray", object_store_bytes=80 << 20, fork_workers=False,
    )
)
import ray

@ray.remote(num_cpus=0.1)
class Actor:
    def ready(self): return "up"

actor = Actor.remote()
print(ray.get(actor.ready.remote()), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Training:
    """A launch that trains, its token, its temporary folder and its sockets."""

    chain: Chain
    token: str
    folder: Path
    listeners: list[Listener]


@dataclass(frozen=True)
class Attacked:
    """What another user got from a Ray on one node."""

    answers: Answers
    told: dict[str, Any]
    ran: bool
    """Whether his command was run."""
    written_by: int | None


@contextmanager
def ray_of(how: str) -> Iterator[list[Listener]]:
    """Ray as a launch on one node starts it, with its token; or `open`, as it was without."""
    mark = f"test-{secrets.token_hex(6)}"
    with reaper.reaped(mark) as folder:
        own = {key: value for key, value in os.environ.items() if not key.startswith("RAY_AUTH_")}
        own |= ray_access.LOOPBACK | {"RAY_USAGE_STATS_ENABLED": "0", reaper.VARIABLE: mark, "TMPDIR": str(folder)}
        own |= ray_access.token_variables() if how == "protected" else {}
        named = driver.__name__  # so that its sockets have the owner that a launch's have
        command = [sys.executable, "-W", "ignore", "-c", RAY, str(folder), how, named]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=own)
        assert process.stdout is not None
        assert "up\n" in iter(process.stdout.readline, "")
        yield neighbour.listeners(neighbour.processes_with(reaper.VARIABLE, mark))
        process.kill()
        process.wait()


def attacked(how: str, folder: Path) -> Attacked:
    mark = folder / "ran"
    with ray_of(how) as found:
        answers = neighbour.answers_of(found, f"id -u > {mark}")
        told = neighbour.attack({"gcs": neighbour.gcs_of(found)})
        if how == "open":
            wait_for(mark)
        return Attacked(answers, told, mark.exists(), int(mark.read_text()) if mark.exists() else None)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.2)


def by_owner(answers: Answers) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one, answer in answers:
        found.setdefault(one.owner, set()).add(answer)
    return found


def test_a_neighbour_is_refused_by_every_port_of_ray(tmp_path: Path) -> None:
    found = attacked("protected", tmp_path)
    assert found.told["uid"] == neighbour.NOBODY
    assert not found.ran
    assert "AuthenticationError" in found.told["gcs"]
    assert "Failed to connect to Ray cluster" in found.told["driver"]
    assert neighbour.unexplained(found.answers, REASONS, set()) == []
    answers = by_owner(found.answers)
    assert answers["gcs_server"] == answers["raylet"] == answers["worker"] == {GRPC_REFUSES}
    assert answers["DashboardAgent"] == {HTTP_REFUSES, GRPC_REFUSES, COUNTERS}


def test_without_the_token_he_is_obeyed(tmp_path: Path) -> None:
    """The negative control: the same attacks, on loopback as well."""
    found = attacked("open", tmp_path)
    assert found.ran
    assert found.written_by == os.getuid() != found.told["uid"]
    assert found.told["gcs"].startswith("done: 1 key written")
    assert found.told["driver"] == "died on its way"
    answers = by_owner(found.answers)
    assert answers["gcs_server"] == {GRPC_OBEYS}
    assert HTTP_OBEYS in answers["DashboardAgent"]
    assert GRPC_OBEYS in answers["raylet"] & answers["worker"] & answers["DashboardAgent"]
    assert len(neighbour.unexplained(found.answers, REASONS, set())) >= 6


def test_a_socket_without_a_reason_is_found() -> None:
    new = [
        (Listener("127.0.0.1", 1, 1, "worker"), HTTP_OBEYS),
        (Listener("::", 2, 1, "worker"), SILENT),
        (Listener("0.0.0.0", 3, 1, "raylet"), GRPC_REFUSES),
        (Listener("::", 4, 1, "nginx"), SILENT),
        (Listener("::", 5, 1, "worker"), STORE),
        (Listener("::ffff:127.0.0.1", 6, 1, "raylet"), GRPC_REFUSES),
    ]
    wrong = neighbour.unexplained(new, REASONS, BEYOND_LOOPBACK)
    assert [line.split(" ", 3)[2].rpartition(":")[2] for line in wrong] == ["1", "2", "3", "4"]


@pytest.fixture(scope="module")
def training(chain: Chain, base: Path) -> Iterator[Training]:  # noqa: F811
    """A real launch on one node, held in the middle of a step: by then all has been opened that ever is."""
    process = chain.start("up", "8k-1", base, PYTHONPATH=before("held"), CHAIN_HOLD="update:3")
    try:
        deadline = time.monotonic() + 600
        while not chain.held("up").exists():
            assert process.poll() is None, (chain.root / "up.out").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        token = neighbour.value_of(ray_access.TOKEN, process.pid)
        folder = Path(neighbour.value_of("TMPDIR", process.pid))
        found = neighbour.listeners(neighbour.processes_with(ray_access.TOKEN, token))
        yield Training(chain, token, folder, found)
    finally:
        chain.kill_when("up", process, lambda: True)


def test_every_socket_of_a_training_has_its_reason(training: Training, tmp_path: Path) -> None:
    answers = neighbour.answers_of(training.listeners, f"id -u > {tmp_path / 'ran'}")
    print(neighbour.table(answers))
    assert neighbour.unexplained(answers, REASONS, BEYOND_LOOPBACK) == []
    there = {(one.owner, answer) for one, answer in answers}
    assert REASONS.keys() - there <= FIXED_PORTS, "a kind of the table is not there any more"
    assert not (tmp_path / "ran").exists()


def test_the_token_is_in_environments_alone(training: Training) -> None:
    assert len(training.token) == 64
    assert neighbour.places_of(training.token, training.chain.root, training.folder) == []
    (training.folder / "planted").write_text(f"x{training.token}x")
    assert neighbour.places_of(training.token, training.folder) == [str(training.folder / "planted")]
    assert training.folder.stat().st_mode & 0o077 == 0
