"""A copy of the checkout, and Snakemake in it on the test cluster, under a hard limit."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from cluster import Cluster
from terminal import hear_ctrl_c

HERE = Path(__file__).parent
FAST = ("--latency-wait", "5", "--max-jobs-per-timespan", "100/1s")
"""Nothing here is cached by NFS, and the controller is our own."""


@dataclass
class Checkout:
    """A copy of the checkout, and Snakemake in it on the cluster."""

    folder: Path
    cluster: Cluster

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self.cluster.environment,
            "PYTHONPATH": str(self.folder / "workflow"),
            "DEEPSCALER_ACCOUNT": self.cluster.shape.account,
            "DEEPSCALER_CPU_PARTITION": "cpu",
            "DEEPSCALER_GPU_PARTITION": "gpu",
            "DEEPSCALER_GPU_MODEL": self.cluster.shape.gpu_model,
        }

    def command(self, *arguments: str, seconds: int = 120) -> list[str]:
        snakemake = [sys.executable, str(HERE / "impatient.py"), "--profile", "slurm", *arguments, *FAST]
        return ["timeout", "-s", "KILL", str(seconds), *snakemake]

    def snakemake(self, *arguments: str, seconds: int = 120, **environment: str) -> subprocess.CompletedProcess[str]:
        """`snakemake --profile slurm …`, killed when it takes longer; stdout and stderr together."""
        return self.run(self.command(*arguments, seconds=seconds), environment)

    def deepscaler(self, *arguments: str, seconds: int = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        """`deepscaler VERB …`, as the rules call it."""
        limit = ["/usr/bin/timeout", "-s", "KILL", str(seconds)]
        return self.run(
            [*limit, sys.executable, "-c", "from deepscaler.cli import main; main()", *arguments], environment
        )

    def run(self, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def start(self, *arguments: str, seconds: int = 300, **environment: str) -> "Running":
        """The same in the background."""
        with (self.folder / "snakemake.out").open("ab") as out:
            process = subprocess.Popen(
                self.command(*arguments, seconds=seconds),
                cwd=self.folder,
                env=self.environment | environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=hear_ctrl_c,
            )
        return Running(process, self.folder / "snakemake.out")


@dataclass
class Running:
    """A Snakemake in the background; at the end of a `with` block it is gone."""

    process: subprocess.Popen[bytes]
    out: Path

    def __enter__(self) -> "Running":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to it and its children, as when a login node goes down."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def interrupt(self) -> None:
        """SIGINT to Snakemake, as by Ctrl-C on a login node."""
        [snakemake] = children(self.process.pid)  # of `timeout`
        os.kill(snakemake, signal.SIGINT)

    def wait(self, seconds: float) -> int:
        """Its exit code; it is killed when it takes longer."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode

    def text(self) -> str:
        return self.out.read_text(errors="replace")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
