"""The process that is OpenRLHF's command: `python -m openrlhf.cli.train_ppo_ray`, with Ray set up for it beforehand.

    python -m deepscaler.training.launch.driver FLAGS…

Upstream starts Ray with `ray.init()` unless it runs already; here it is started, or joined, with this launch's own
folder and resources and with the hooks of a segment in its workers. Then upstream's module runs as `__main__`,
unchanged.
"""

import contextlib
import ctypes
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepscaler.training.launch import ray_access, shield
from deepscaler.training.launch.spec import RayCluster

MODULE = "openrlhf.cli.train_ppo_ray"
JOIN_SECONDS = 600
LATE = "timed out during startup"
"""Part of Ray's error when its own node has not registered within 30 seconds, a limit that no setting changes."""
TRIES = 4


def main() -> None:
    die_with_parent()
    with shield.shielded():
        start_ray(RayCluster.from_environment(os.environ))
        sys.argv = [MODULE, *sys.argv[1:]]
        runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # all is on disk; Ray's own shutdown takes long, and the reaper ends its processes anyway


def die_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends (Linux)."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def start_ray(cluster: RayCluster) -> None:
    ray_access.require_token()
    from deepscaler.training.openrlhf.hooks import install

    worker_environment = {
        "TOKENIZERS_PARALLELISM": os.environ.get("TOKENIZERS_PARALLELISM", "true"),
        "NCCL_DEBUG": os.environ.get("NCCL_DEBUG", "WARN"),
        "RAY_ENABLE_ZERO_COPY_TORCH_TENSORS": os.environ.get("RAY_ENABLE_ZERO_COPY_TORCH_TENSORS", "1"),
    }
    runtime: dict[str, Any] = {"env_vars": worker_environment, "worker_process_setup_hook": install}
    if cluster.fork_workers:
        from deepscaler.training.openrlhf.cpu import fork_server

        runtime["py_executable"] = fork_server.start(Path(cluster.folder).parent)
    import ray

    if cluster.address:
        ray.init(address=cluster.address, _node_ip_address=cluster.node_address, runtime_env=runtime)
        wait_for_nodes(cluster.nodes)
    else:
        start_with_retries(
            lambda: ray.init(
                num_cpus=cluster.cpus,
                num_gpus=cluster.gpus,
                include_dashboard=False,
                object_store_memory=cluster.object_store_bytes,
                _temp_dir=cluster.folder,
                runtime_env=runtime,
            )
        )


def start_with_retries(start: Callable[[], Any]) -> None:
    """Start Ray; where it gave up early on a busy computer, end what the failed start left and start it again."""
    before = children()
    for left in reversed(range(TRIES)):
        try:
            start()
            return
        except Exception as error:  # Ray has no class for this error
            if LATE not in str(error) or not left:
                raise
            print(f"Ray was not up within its 30 seconds; {left} more tries", flush=True)
            for pid in children() - before:
                os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def children() -> set[int]:
    """Ids of the processes that this one has started and not yet waited for."""
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def wait_for_nodes(wanted: int) -> None:
    """Return when all nodes have joined; end with a message when they don't."""
    import ray

    deadline = time.monotonic() + JOIN_SECONDS
    while (alive := sum(node["Alive"] for node in ray.nodes())) < wanted:
        if time.monotonic() > deadline:
            sys.exit(f"RuntimeError: only {alive} of {wanted} nodes joined Ray within {JOIN_SECONDS} s")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
