"""Ray across the nodes of a SLURM allocation: a head on this node and a worker on each other, all under srun.

SLURM gives the job its nodes; `SLURM_JOB_NODELIST` is not there in a job of Snakemake's, so squeue is asked. The head
listens on a port of this job's own, the workers start when the head has started, and the driver when they have: each
waits for a condition, none for a fixed time. Every node has a reaper, so that nothing is left when a task is killed.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from deepscaler.errors import JobError, UserError
from deepscaler.files import appending
from deepscaler.job_log import last_useful_line
from deepscaler.training.launch import reaper
from deepscaler.training.launch.spec import Launch, RayCluster

START_SECONDS = 600
END_SECONDS = 30
STARTED = b"Ray runtime started."
"""What `ray start` prints."""


def start(
    launch: Launch, environment: dict[str, str], folder: Path, stack: ExitStack
) -> tuple[RayCluster, list["Node"]]:
    """Start Ray on a launch's nodes; returns it for the driver to join, and its nodes, which end with `stack`."""
    hosts = allocated_nodes()
    if len(hosts) < launch.nodes:
        raise UserError(
            f"the layout wants {launch.nodes} nodes, the allocation has {len(hosts)}",
            os.environ.get("SLURM_JOB_ID", "no SLURM job"),
            "submit it through the slurm profile, or set the layout's nodes to what you have",
        )
    here, *others = this_node_first(hosts)[: launch.nodes]
    address, port = address_of_this_node(others[0]), free_port()
    head = stack.enter_context(Node(launch, environment, here, ["head", address, str(port)]))
    wait_until_started([head])  # a worker that comes earlier gives up
    worker = ["worker", address, str(port)]
    nodes = [head, *(stack.enter_context(Node(launch, environment, host, worker)) for host in others)]
    wait_until_started(nodes)
    return RayCluster.to_join(address, port, launch.nodes, folder), nodes


def allocated_nodes() -> list[str]:
    """The host names of this job's nodes; this computer's own outside of SLURM."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job or not shutil.which("squeue"):
        return [socket.gethostname()]
    try:
        compact = output(["squeue", "-h", "-j", job, "-o", "%N"])
        return output(["scontrol", "show", "hostnames", compact]).split()
    except (OSError, subprocess.SubprocessError) as error:
        raise JobError(f"SLURM does not say which nodes job {job} has: {error}") from None


def output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def this_node_first(hosts: list[str]) -> list[str]:
    """The hosts with this one first: the driver and Ray's head run where the job's command does."""
    this = socket.gethostname().split(".")[0]
    return sorted(hosts, key=lambda host: host.split(".")[0] != this)


def address_of_this_node(other: str) -> str:
    """The address at which another node finds this one.

    A node's own name may have a loopback address in its /etc/hosts; then it is the address from which the other is
    reached, unless that is a loopback address too: then all nodes are on one computer, and differ by their names.
    """
    named = socket.gethostbyname(socket.gethostname())
    if not named.startswith("127."):
        return named
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((other, 9))  # sends nothing
        routed: str = probe.getsockname()[0]
    return named if routed.startswith("127.") else routed


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


class Node:
    """A Ray node under srun, ended with the block."""

    def __init__(self, launch: Launch, environment: dict[str, str], host: str, role: list[str]) -> None:
        self.host, self.log = host, launch.logs / f"node-{host}.log"
        command = node_command(launch, host, sys.executable, role)
        # the reaper must not signal srun; and SLURM makes a TMPDIR that a node lacks, which nobody would remove
        own = {key: value for key, value in environment.items() if key not in (reaper.VARIABLE, "TMPDIR")}
        with appending(self.log) as handle:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=handle, stderr=subprocess.STDOUT, env=own
            )

    def has_started(self) -> bool:
        """Whether Ray has printed so, which it does when the node has joined; its port answers long before."""
        return STARTED in self.log.read_bytes()

    def raise_if_ended(self) -> None:
        """Raise JobError where the node is lost: processes that wait for it would wait for minutes, or for ever."""
        code = self.process.poll()
        if code is not None:
            raise JobError(f"Ray on {self.host} ended with exit code {code}: {last_useful_line(self.log)}", self.log)

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        for force in (self.process.terminate, self.process.kill):
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                force()
        self.process.wait()


def node_command(launch: "Launch", host: str, python: str, role: list[str]) -> list[str]:
    """A Ray node on a host: `role` is head or worker, and the head's address and port."""
    return [
        *("srun", "--nodes=1", "--ntasks=1", f"--nodelist={host}", "--overlap", "--export=ALL"),
        *(f"--cpus-per-task={launch.cpus}", "--kill-on-bad-exit=1"),
        *(python, "-m", "deepscaler.training.launch.ray_node", *role),
        *(str(launch.gpus_per_node), str(launch.cpus), launch.device),
    ]


def wait_until_started(nodes: list[Node]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while late := [node for node in nodes if not node.has_started()]:
        for node in nodes:
            node.raise_if_ended()
        if time.monotonic() > deadline:
            hosts = ", ".join(node.host for node in late)
            raise JobError(f"Ray has not started after {START_SECONDS} s on {hosts}", late[0].log)
        time.sleep(0.2)
