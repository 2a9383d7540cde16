"""Starts OpenRLHF for one segment, on one node or many, and stops all of it again.

One node: the driver starts Ray itself. Many, in a SLURM allocation: Ray's head and workers start under srun, one a
node, and the driver joins them from the first node, where this runs. Everything else is the same. Each launch has a
temporary folder and ports of its own, so that launches on one computer do not interfere.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from deepscaler.errors import JobError
from deepscaler.files import appending
from deepscaler.job_log import last_useful_line
from deepscaler.training.launch import ray_access, ray_on_slurm, reaper, shield
from deepscaler.training.launch.spec import Launch, RayCluster
from deepscaler.training.openrlhf import cpu

POLL_SECONDS = 0.5
FULL_BYTES = 1 << 20
"""A disk with less free space counts as full."""


def run(launch: Launch, meanwhile: Callable[[], None]) -> None:
    """Run to the end; `meanwhile` is called twice a second and may raise to stop it.

    Raises JobError with the log's name and its last useful line when OpenRLHF fails.
    """
    launch.logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        token = uuid.uuid4().hex[:12]
        folder = stack.enter_context(reaper.reaped(token))
        environment = base_environment(launch, token, folder)
        nodes: list[ray_on_slurm.Node] = []
        if launch.nodes == 1:
            cluster = RayCluster.local(launch, folder)
        else:
            cluster, nodes = ray_on_slurm.start(launch, environment, folder, stack)
        process = start_driver(launch, environment | cluster.to_environment())
        while (code := process.poll()) is None:
            meanwhile()
            for node in nodes:
                node.raise_if_ended()
            time.sleep(POLL_SECONDS)
        meanwhile()
        if code != 0:
            raise JobError(f"OpenRLHF {describe_exit(code)}: {failure_reason(launch.driver_log)}", launch.driver_log)
        if launch.device == "cpu":
            reaper.stop_all(token, grace=0)  # all is on disk; Ray would take its seconds


def base_environment(launch: Launch, token: str, folder: Path) -> dict[str, str]:
    """The environment of the driver, which Ray hands to all its workers, with the token that Ray's ports ask for."""
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a dozen processes import the same modules
    environment |= {reaper.VARIABLE: token, **launch_environment(launch, folder)}
    if launch.device == "cpu":
        environment |= cpu_environment(launch.cpus, environment)
    return ray_access.protected(environment, launch.nodes)


def launch_environment(launch: Launch, folder: Path) -> dict[str, str]:
    """What a launch sets on every device, with its temporary folder."""
    return {
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(folder / "datasets"),  # its key is a file's path and time, not its content
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_NO_USAGE_STATS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
        "RAY_worker_niceness": "0",  # 15 by default: starved by anything else that runs
        "TMPDIR": str(folder),
        **launch.environment,
    }


def cpu_environment(cores: int, environment: dict[str, str]) -> dict[str, str]:
    path = environment.get("PYTHONPATH")
    return {
        "PYTHONPATH": f"{cpu.PATH}{os.pathsep}{path}" if path else str(cpu.PATH),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(cores),
        "GOMP_SPINCOUNT": "0",  # trainer and sampler take turns on the same cores: a waiting one must not spin
        "TORCHDYNAMO_DISABLE": "1",  # compiling one small function would cost more than it saves
        "RAY_prestart_worker_first_driver": "0",  # two that are started anew, and none uses: workers are forked
    }


def start_driver(launch: Launch, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    with appending(launch.driver_log) as log, shield.shielded():
        return subprocess.Popen(
            [sys.executable, "-m", "deepscaler.training.launch.driver", *launch.flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def failure_reason(log: Path) -> str:
    """Why OpenRLHF failed. On a full disk its log lacks the end, so the disk is looked at first."""
    if shutil.disk_usage(log.parent).free < FULL_BYTES:
        return f"No space left on the disk of {log.parent}"
    return last_useful_line(log)


def describe_exit(code: int) -> str:
    """A process's exit code in words; negative for a signal."""
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
