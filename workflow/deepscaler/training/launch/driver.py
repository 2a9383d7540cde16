"""The process that is OpenRLHF's command: `python -m openrlhf.cli.train_ppo_ray`, with Ray set up for it beforehand.

    python -m deepscaler.training.launch.driver FLAGS…

Upstream starts Ray with `ray.init()` unless it runs already; here it is started, or joined, with this launch's own
folder and resources and with the hooks of a segment in its workers. Then upstream's module runs as `__main__`, unread
and unchanged.
"""

import contextlib
import ctypes
import json
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deepscaler.training.launch import ray_access

VARIABLE = "DEEPSCALER_RAY"
MODULE = "openrlhf.cli.train_ppo_ray"
JOIN_SECONDS = 600
LATE = "timed out during startup"
"""What Ray says when its own node has not registered within 30 seconds, which no setting changes."""
STARTS = 4


@dataclass(frozen=True)
class RayPlace:
    """Where Ray runs: `address` of a cluster to join, or None for a local one of this size."""

    address: str | None
    node_address: str | None
    nodes: int
    cpus: int | None
    gpus: int | None
    folder: str
    object_store_bytes: int | None
    warm: bool = False
    """Fork the workers from this process, imports and all (openrlhf/cpu/fork_server.py)."""

    def to_environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


def main() -> None:
    die_with_parent()
    place = RayPlace(**json.loads(os.environ[VARIABLE]))
    start_ray(place)
    sys.argv = [MODULE, *sys.argv[1:]]
    runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # all is on disk; Ray's orderly farewell takes long, and the reaper ends its processes anyway


def die_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends (Linux)."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def start_ray(place: RayPlace) -> None:
    ray_access.require_token()
    from deepscaler.training.openrlhf.hooks import install

    worker_environment = {
        "TOKENIZERS_PARALLELISM": os.environ.get("TOKENIZERS_PARALLELISM", "true"),
        "NCCL_DEBUG": os.environ.get("NCCL_DEBUG", "WARN"),
        "RAY_ENABLE_ZERO_COPY_TORCH_TENSORS": os.environ.get("RAY_ENABLE_ZERO_COPY_TORCH_TENSORS", "1"),
    }
    runtime: dict[str, Any] = {"env_vars": worker_environment, "worker_process_setup_hook": install}
    if place.warm:
        from deepscaler.training.openrlhf.cpu import fork_server

        runtime["py_executable"] = fork_server.start(Path(place.folder).parent)
    import ray

    if place.address:
        ray.init(address=place.address, _node_ip_address=place.node_address, runtime_env=runtime)
        wait_for_nodes(place.nodes)
    else:
        start_patiently(
            lambda: ray.init(
                num_cpus=place.cpus,
                num_gpus=place.gpus,
                include_dashboard=False,
                object_store_memory=place.object_store_bytes,
                _temp_dir=place.folder,
                runtime_env=runtime,
            )
        )


def start_patiently(start: Callable[[], Any]) -> None:
    """Start Ray; on a busy computer again, since it gives up early, without what the try has left."""
    before = children()
    for left in reversed(range(STARTS)):
        try:
            start()
            return
        except Exception as error:  # Ray has no class of its own for it
            if LATE not in str(error) or not left:
                raise
            print(f"Ray was not up within its 30 seconds; {left} more tries", flush=True)
            for pid in children() - before:
                os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def children() -> set[int]:
    """Processes that this one has started and not yet buried."""
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
