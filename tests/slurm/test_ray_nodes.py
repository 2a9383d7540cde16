"""Ray's nodes under srun: they end orderly with their launch, and leave neither processes nor folders on any node.

Another user of the nodes gets nothing from their ports.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import neighbour
import pytest
from cluster import Cluster, wait_until
from deepscaler.training.launch import ray_access
from neighbour import COUNTERS, GRPC_REFUSES, HTTP_REFUSES, SILENT

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

LAUNCH = """
import os, sys, uuid
from contextlib import ExitStack
from pathlib import Path
from deepscaler.training.launch import ray_on_slurm, reaper
from deepscaler.training.launch.launch import base_environment
from deepscaler.training.launch.spec import Launch

logs = Path(sys.argv[1])
launch = Launch(flags=[], environment={}, device="cpu", nodes=2, gpus_per_node=1, cpus=1, logs=logs)
with ExitStack() as stack:
    token = uuid.uuid4().hex[:12]
    folder = stack.enter_context(reaper.reaped(token))
    environment = base_environment(launch, token, folder)
    ray_cluster, _ = ray_on_slurm.start(launch, environment, folder, stack)
    if sys.argv[2:] == ["driver"]:
        os.environ.update({key: value for key, value in environment.items() if key.startswith("RAY_AUTH_")})
        import ray
        ray.init(address=ray_cluster.address, _node_ip_address=ray_cluster.node_address)

        @ray.remote(num_gpus=1, num_cpus=0)
        class Actor:
            def ready(self): pass

        actors = [Actor.remote(), Actor.remote()]
        ray.get([actor.ready.remote() for actor in actors])
    (logs / "up").write_text(str(os.getpid()))
    sys.stdin.read()
"""


REASONS = {
    ("gcs_server", GRPC_REFUSES): "Ray's record of nodes, actors and keys",
    ("raylet", GRPC_REFUSES): "Ray's node: starts workers; hands objects over to other nodes",
    ("DashboardAgent", HTTP_REFUSES): "Ray's agent, which takes jobs; it can't be left out",
    ("DashboardAgent", GRPC_REFUSES): "Ray's agent: counts what processes use",
    ("DashboardAgent", COUNTERS): "numbers of the agent's, which every user may read in `ps` as well",
    ("RuntimeEnvAgent", HTTP_REFUSES): "Ray's agent that makes workers' environments",
    ("monitor.py", COUNTERS): "numbers of Ray's autoscaler, which scales nothing here",
    ("dashboard.py", COUNTERS): "numbers of Ray's dashboard, which has no page here",
    ("srun", SILENT): "SLURM's own, for a step's input and output: it asks for a signature of munge's",
    ("salloc", SILENT): "SLURM's own as well",
    ("worker", GRPC_REFUSES): "calls between the driver and Ray's actors",
}
"""Every kind of socket that Ray has on two nodes, and what for. They must reach each other, so most are open beyond
loopback; none obeys."""
FIXED_PORTS = {("monitor.py", COUNTERS), ("dashboard.py", COUNTERS)}
"""Not there while another Ray of this computer has their ports."""


def left_on(cluster: Cluster) -> list[str]:
    return sorted(path.parent.name + "/" + path.name for path in cluster.folder.glob("tmp/node*/dsr-*"))


@contextmanager
def launched(cluster: Cluster, folder: Path, *more: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Ray on two nodes; nothing of it is left on the cluster afterwards."""
    (folder / "launch.py").write_text(LAUNCH)
    command = ["salloc", "-Q", "-p", "gpu", "--account=deepscaler", "--nodes=2", "--gres=gpu:a100:1", "--mem=4000"]
    command += ["srun", "--nodes=1", "--ntasks=1", "--overlap", sys.executable, str(folder / "launch.py"), str(folder)]
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(
            [*command, *more], stdin=subprocess.PIPE, stdout=out, stderr=out, env=cluster.environment
        )
    try:
        wait_until((folder / "up").exists, 200, "Ray on two nodes", lambda: (folder / "out").read_text())
        yield process
        process.wait(100)
        wait_until(lambda: not left_on(cluster), 60, "temporary folders to be gone", lambda: str(left_on(cluster)))
        wait_until(lambda: not rays(cluster), 60, "Ray to be gone", lambda: str(rays(cluster)))
    finally:
        cluster.ask("scancel", "--me")
        process.kill()
        process.wait()


@pytest.mark.parametrize("end", ["orderly", "killed", "cancelled"])
def test_a_launch_on_two_nodes_leaves_nothing_there(cluster: Cluster, tmp_path: Path, end: str) -> None:
    with launched(cluster, tmp_path) as process:
        assert rays(cluster)
        assert len(left_on(cluster)) == 3  # the launch's own, and a node's each
        assert process.stdin is not None
        if end == "orderly":
            process.stdin.close()
        elif end == "killed":
            script = str(tmp_path / "launch.py")
            launchers = [pid for pid in with_words(script) if not {"srun", "salloc"} & set(words(pid).split())]
            os.kill(launchers[0], signal.SIGKILL)
        else:
            [job] = [job["JobId"] for job in cluster.jobs() if job["JobState"] == "RUNNING"]
            cluster.run("scancel", job)


def test_a_neighbour_of_two_nodes_is_refused_by_every_port(cluster: Cluster, tmp_path: Path) -> None:
    with launched(cluster, tmp_path, "driver") as process:
        token = ray_token(cluster)
        pids = neighbour.processes_with(ray_access.TOKEN, token) | set(with_words(str(tmp_path / "launch.py")))
        found = neighbour.listeners(pids)
        answers = neighbour.answers_of(found, f"id -u > {tmp_path / 'ran'}")
        print(neighbour.table(answers))
        assert neighbour.unexplained(answers, REASONS, set(REASONS)) == []
        assert REASONS.keys() - {(one.owner, answer) for one, answer in answers} <= FIXED_PORTS
        assert len([one for one in found if one.owner == "raylet"]) == 4
        told = neighbour.attack({"gcs": neighbour.gcs_of(found)})
        assert told["uid"] == neighbour.NOBODY
        assert "AuthenticationError" in told["gcs"]
        assert "Failed to connect to Ray cluster" in told["driver"]
        assert not (tmp_path / "ran").exists()
        assert not [pid for pid in pids if "ray.util.client.server" in words(pid)]
        records = [cluster.run("scontrol", "--details", "show", what) for what in ("job", "step")]
        assert "StepId=" in records[1]
        assert not any(token in record for record in records)
        assert (
            neighbour.places_of(
                token, tmp_path, cluster.folder / "log", cluster.folder / "spool", cluster.folder / "state"
            )
            == []
        )
        assert neighbour.places_of(token, *(path.parent for path in cluster.folder.glob("tmp/node*/dsr-*/ray"))) == []
        assert process.stdin is not None
        process.stdin.close()


def ray_token(cluster: Cluster) -> str:
    """The one token of all of this cluster's Ray."""
    [token] = {neighbour.value_of(ray_access.TOKEN, pid) for pid in rays(cluster)}
    return token


def rays(cluster: Cluster) -> list[int]:
    """Ray's processes of this cluster's jobs, and of no other's."""
    mark = f"SLURM_CONF={cluster.environment['SLURM_CONF']}".encode()
    return [pid for pid in with_words("raylet") if mark in read(pid, "environ")]


def with_words(text: str) -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if text in words(int(path.name))]


def words(pid: int) -> str:
    return read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")


def read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
