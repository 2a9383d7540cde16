"""Ray's nodes under srun: they end orderly with their launch, and leave neither processes nor folders on any node."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import Cluster, wait_until

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
    ray_on_slurm.start(launch, base_environment(launch, token, folder), folder, stack)
    (logs / "up").write_text(str(os.getpid()))
    sys.stdin.read()
"""


def left_on(cluster: Cluster) -> list[str]:
    return sorted(path.parent.name + "/" + path.name for path in cluster.folder.glob("tmp/node*/dsr-*"))


@pytest.mark.parametrize("end", ["orderly", "killed", "cancelled"])
def test_a_launch_on_two_nodes_leaves_nothing_there(cluster: Cluster, tmp_path: Path, end: str) -> None:
    (tmp_path / "launch.py").write_text(LAUNCH)
    command = ["salloc", "-Q", "-p", "gpu", "--account=deepscaler", "--nodes=2", "--gres=gpu:a100:1", "--mem=4000"]
    command += ["srun", "--nodes=1", "--ntasks=1", "--overlap", sys.executable, str(tmp_path / "launch.py")]
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            [*command, str(tmp_path)], stdin=subprocess.PIPE, stdout=out, stderr=out, env=cluster.environment
        )
    try:
        wait_until((tmp_path / "up").exists, 200, "Ray on two nodes", lambda: (tmp_path / "out").read_text())
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
        process.wait(100)
        wait_until(lambda: not left_on(cluster), 60, "temporary folders to be gone", lambda: str(left_on(cluster)))
        wait_until(lambda: not rays(cluster), 60, "Ray to be gone", lambda: str(rays(cluster)))
    finally:
        cluster.ask("scancel", "--me")
        process.kill()
        process.wait()


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
