"""A real SLURM cluster on this machine, for the tests: controller, munge and a slurmd for every node.

The GPUs are pretended (character devices that SLURM hands out and counts), all else is SLURM as Debian ships it.
A node is a PID, mount and host name namespace of its own: it has its own process list, its own /etc/slurm and /tmp and
its own name, and killing its first process kills everything on it at once, as a power failure would. Nothing is written
outside of the cluster's folder, and nothing survives the `with` block.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

PACKAGES = ["slurmctld", "slurmd", "slurm-client", "munge"]
DAEMONS = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "unshare", "setpriv"]
COMMAND_SECONDS = 30
"""No client call may take longer; SLURM's own clients wait for minutes when a controller is gone."""

GRACE = 600
"""Seconds from the warning of a preemption to its SIGTERM and, KillWait later, SIGKILL."""

ADMISSION = """
function slurm_job_submit(job, partitions, user)
   if job.account ~= "{account}" then return slurm.ESLURM_INVALID_ACCOUNT end
   return slurm.SUCCESS
end
function slurm_job_modify(job, record, partitions, user)
   return slurm.SUCCESS
end
"""


@dataclass(frozen=True)
class Shape:
    """What the cluster pretends to be. The default is the paper's: four nodes of eight A100s."""

    nodes: int = 4
    gpus: int = 8
    gpu_model: str = "a100"
    cpus: int = 64
    memory_mb: int = 1_000_000
    account: str = "deepscaler"
    """The one account that may submit; others are refused, as a site's own submission filter or database would."""


class Unavailable(Exception):
    """Why no cluster can be started here."""


class Cluster:
    """`with Cluster(Shape()) as cluster:`; then `cluster.environment` makes sbatch, squeue and snakemake find it."""

    def __init__(self, shape: Shape | None = None, shared: tuple[Path, ...] = ()) -> None:
        """`shared` are folders below /tmp that all nodes see; the rest of /tmp is each node's own."""
        self.shape = shape or Shape()
        self.shared = shared
        self.folder = Path()
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Cluster":
        install()
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        try:
            self.write_settings()
            self.start_munge()
            self.start_controller()
            for node in self.nodes:
                self.start_node(node)
            wait_until(lambda: self.states() == dict.fromkeys(self.nodes, "idle"), 20, "the nodes to be idle")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def nodes(self) -> list[str]:
        return [f"node{number}" for number in range(1, self.shape.nodes + 1)]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.folder / "etc" / "slurm.conf")}

    # Settings

    def write_settings(self) -> None:
        self.folder.chmod(0o755)
        for name in ("etc", "state", "spool", "log", "gpu"):
            (self.folder / name).mkdir()
        for number in range(self.shape.gpus):
            # character devices: with plain files SLURM counts the GPUs but never sets CUDA_VISIBLE_DEVICES
            os.mknod(self.folder / "gpu" / f"nvidia{number}", 0o666 | 0o020000, os.makedev(1, 3))
        hosts = Path("/etc/hosts").read_text(encoding="utf-8")
        for number, node in enumerate(self.nodes, start=1):
            hosts += f"127.0.1.{number} {node}\n"
        (self.folder / "hosts").write_text(hosts, encoding="utf-8")
        etc = self.folder / "etc"
        ports = free_ports(1 + self.shape.nodes)
        (etc / "slurm.conf").write_text(slurm_conf(self.folder, self.shape, self.nodes, ports), encoding="utf-8")
        gpus = (
            f"{self.folder}/gpu/nvidia[0-{self.shape.gpus - 1}]"
            if self.shape.gpus > 1
            else f"{self.folder}/gpu/nvidia0"
        )
        (etc / "gres.conf").write_text(
            "AutoDetect=off\n"
            f"NodeName={','.join(self.nodes)} Name=gpu Type={self.shape.gpu_model} File={gpus} Flags=nvidia_gpu_env\n",
            encoding="utf-8",
        )
        (etc / "cgroup.conf").write_text("CgroupAutomount=no\n", encoding="utf-8")
        (etc / "job_submit.lua").write_text(ADMISSION.format(account=self.shape.account), encoding="utf-8")

    # Daemons

    def start_munge(self) -> None:
        home = self.folder / "munge"
        home.mkdir(mode=0o755)
        key = home / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        for path in (home, key):
            shutil.chown(path, "munge", "munge")
        command = ["munged", "--foreground", "--key-file", key, "--socket", home / "socket", "--num-threads", "2"]
        command += ["--pid-file", home / "pid", "--log-file", home / "log", "--seed-file", home / "seed"]
        self.start("munge", command, user="munge")
        wait_until((home / "socket").exists, 10, "munged's socket")

    def start_controller(self, *, fresh: bool = True) -> None:
        self.start("controller", ["slurmctld", "-D", *(["-i"] if fresh else []), "-f", self.folder / "etc/slurm.conf"])
        wait_until(lambda: self.ask("scontrol", "ping").returncode == 0, 20, "slurmctld to answer")

    def start_node(self, node: str) -> None:
        temporary = self.folder / "tmp" / node
        lines = ["set -e", f"hostname {node}", "mount -t proc proc /proc"]
        lines += [f"mount --bind {self.folder}/hosts /etc/hosts", f"mount --bind {self.folder}/etc /etc/slurm"]
        for path in (self.folder, *self.shared):
            if path.is_relative_to("/tmp"):
                here = temporary / path.relative_to("/tmp")
                here.mkdir(parents=True, exist_ok=True)
                lines.append(f"mount --bind {path} {here}")
        lines += [f"mount --rbind {temporary} /tmp"]
        # not exec: a shell as first process also reaps what the node's dead jobs leave
        lines += [f"slurmd -D -N {node} & wait"]
        namespaces = ["unshare", "--uts", "--mount", "--pid", "--fork", "--kill-child"]
        self.start(node, [*namespaces, "sh", "-c", "\n".join(lines)])

    def start(self, name: str, command: list[str | Path], user: str | None = None) -> None:
        # the kernel kills it when this process dies, however that happens; a node's first process takes the node along
        bound = ["setpriv", "--pdeathsig", "KILL"]
        bound += ["--reuid", user, "--regid", user, "--clear-groups"] if user else []
        with (self.folder / "log" / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                [*bound, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a daemon; of a node, everything that runs on it."""
        daemon = self.daemons.pop(name)
        daemon.send_signal(number)
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait(10)

    def restart_controller(self) -> None:
        """Stop slurmctld and start it again from its saved state, as an administrator would."""
        self.kill("controller", signal.SIGTERM)
        self.start_controller(fresh=False)

    def preempt(self, node: str, seconds: int = 1) -> str:
        """A job of higher priority that wants a whole node, for so long; its number."""
        asked = ["-A", self.shape.account, "-p", "urgent", "-w", node, "--exclusive", "-o", "/dev/null"]
        return self.run("sbatch", "--parsable", *asked, "--wrap", f"sleep {seconds}").strip()

    def power_off(self, node: str) -> None:
        """The node and all its processes die at once, and the administrator marks it down."""
        self.kill(node)
        self.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=power")

    def power_on(self, node: str) -> None:
        """It comes back with an empty /tmp."""
        shutil.rmtree(self.folder / "tmp" / node)
        self.start_node(node)
        self.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")
        wait_until(lambda: self.states().get(node) == "idle", 20, f"{node} to come back")

    def processes(self, word: str) -> list[int]:
        """Those on the nodes, and nowhere else on this computer, that have this word in their command line."""
        spaces = {Path(f"/proc/{self.daemons[node].pid}/ns/pid_for_children").readlink() for node in self.running_nodes}
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if (path / "ns/pid").readlink() in spaces and word.encode() in (path / "cmdline").read_bytes():
                    found.append(int(path.name))
            except OSError:
                continue  # it has ended
        return found

    def kill_processes(self, word: str, number: int = signal.SIGKILL) -> int:
        """A signal to them; how many they were."""
        found = self.processes(word)
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        return len(found)

    @property
    def running_nodes(self) -> list[str]:
        return [node for node in self.nodes if node in self.daemons]

    def stop(self) -> None:
        for name in reversed(list(self.daemons)):
            self.kill(name)
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    # Questions

    def ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A client's answer, whatever it is."""
        arguments = ["timeout", "-s", "KILL", str(COMMAND_SECONDS), *command]
        return subprocess.run(arguments, env=self.environment, capture_output=True, text=True, check=False)

    def run(self, *command: str) -> str:
        """A client's output; an error where it fails."""
        answer = self.ask(*command)
        if answer.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: exit {answer.returncode}: {answer.stderr.strip()}")
        return answer.stdout

    def states(self) -> dict[str, str]:
        """Node → its state, as sinfo prints it."""
        lines = self.ask("sinfo", "-h", "-N", "-o", "%N %t").stdout.split("\n")
        return dict(line.split() for line in lines if line)

    def jobs(self) -> list[dict[str, str]]:
        """All jobs that the controller remembers, as `scontrol show job` tells of them."""
        text = self.run("scontrol", "--oneliner", "--details", "show", "job")
        lines = [line for line in text.split("\n") if line.startswith("JobId=")]
        return [dict(field.split("=", 1) for field in line.split(" ") if "=" in field) for line in lines]

    def log(self, name: str, lines: int = 30) -> str:
        text = "".join(path.read_text(errors="replace") for path in (self.folder / "log").glob(f"{name}*"))
        return "\n".join(text.split("\n")[-lines:])


def slurm_conf(folder: Path, shape: Shape, nodes: list[str], ports: list[int]) -> str:
    settings = {
        "ClusterName": "deepscaler",
        "SlurmctldHost": f"{socket.gethostname()}(127.0.0.1)",
        "SlurmctldPort": ports[0],
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/munge/socket",
        "CredType": "cred/munge",
        "StateSaveLocation": f"{folder}/state",
        "SlurmdSpoolDir": f"{folder}/spool/%n",
        "SlurmctldPidFile": f"{folder}/slurmctld.pid",
        "SlurmdPidFile": f"{folder}/slurmd-%n.pid",
        "SlurmctldLogFile": f"{folder}/log/slurmctld.log",
        "SlurmdLogFile": f"{folder}/log/%n.log",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SwitchType": "switch/none",
        "MpiDefault": "none",
        "AccountingStorageType": "accounting_storage/none",
        "JobAcctGatherType": "jobacct_gather/none",
        "ReturnToService": 2,
        "SlurmdParameters": "config_overrides",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core_Memory",
        "GresTypes": "gpu",
        "JobSubmitPlugins": "lua",
        # a job that no partition would ever run is refused, not kept waiting
        "EnforcePartLimits": "ALL",
        "SlurmdTimeout": 30,
        "KillWait": 30,  # SLURM's own default: from SIGTERM to SIGKILL at scancel and when the wall time is over
        "PreemptType": "preempt/partition_prio",
        "PreemptMode": "REQUEUE",
        # a test waits for the scheduler otherwise
        "SchedulerParameters": "batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1",
    }
    lines = [f"{key}={value}" for key, value in settings.items()]
    for node, port in zip(nodes, ports[1:], strict=True):
        lines.append(
            f"NodeName={node} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} Sockets=2"
            f" CoresPerSocket={shape.cpus // 2} RealMemory={shape.memory_mb}"
            f" Gres=gpu:{shape.gpu_model}:{shape.gpus} State=UNKNOWN"
        )
    lines.append(f"PartitionName=cpu Nodes={','.join(nodes)} Default=YES MaxTime=2-00:00:00 PreemptMode=OFF State=UP")
    lines.append(f"PartitionName=gpu Nodes={','.join(nodes)} MaxTime=1-00:00:00 PreemptMode=OFF State=UP")
    # jobs of the last one take the nodes of those of the two before: these are told, and have so many seconds left
    for name, mode in (("spare", "REQUEUE"), ("scratch", "CANCEL")):
        lines.append(f"PartitionName={name} Nodes={','.join(nodes)} PreemptMode={mode} GraceTime={GRACE} State=UP")
    lines.append(f"PartitionName=urgent Nodes={','.join(nodes)} PriorityTier=10 PreemptMode=OFF State=UP")
    return "\n".join(lines) + "\n"


def install() -> None:
    """Make sure that Debian's SLURM is here; it starts nothing by itself, and stays when the tests are over."""
    if os.geteuid() != 0:
        raise Unavailable("a test cluster needs root (namespaces and device files)")
    if all(shutil.which(name) for name in DAEMONS):
        return
    if not shutil.which("apt-get"):
        raise Unavailable(f"no apt-get here to install {' '.join(PACKAGES)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for seconds, *command in (
        ("120", "apt-get", "update"),
        ("300", "apt-get", "install", "-y", "--no-install-recommends", *PACKAGES),
    ):
        arguments = ["timeout", "-s", "KILL", seconds, *command]
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def wait_until(condition: Callable[[], bool], seconds: float, what: str, tell: Callable[[], str] = str) -> None:
    """Until the condition holds; else TimeoutError says what was waited for, and what `tell` knows of it."""
    for _ in moments(seconds):
        if condition():
            return
    raise TimeoutError(f"waited {seconds:.0f} s for {what}\n{tell()}")


def moments(seconds: float, every: float = 0.2) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(every)
