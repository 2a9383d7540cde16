"""What a launch runs and on what, shared by the process that starts it, Ray's nodes and OpenRLHF's driver."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "DEEPSCALER_RAY"
"""Environment variable in which the driver finds its `RayCluster`."""
CPU_OBJECT_STORE_BYTES = 512 << 20
"""Shared memory for Ray where there is no GPU: a step's experience is a few megabytes."""


@dataclass(frozen=True)
class Launch:
    """What to run, and on what."""

    flags: list[str]
    environment: dict[str, str]
    device: str
    """cpu or gpu."""
    nodes: int
    gpus_per_node: int
    cpus: int
    """CPU cores a node."""
    logs: Path
    """Folder of this attempt: driver.log, and a log of each node where there are several."""

    @property
    def driver_log(self) -> Path:
        return self.logs / "driver.log"


@dataclass(frozen=True)
class RayCluster:
    """The Ray that the driver uses: one that it starts on this computer, or one that runs already."""

    address: str | None
    """`host:port` of the head to join; None to start Ray here."""
    node_address: str | None
    """This node's own address, where it joins."""
    nodes: int
    cpus: int | None
    """Ray's CPU slots; None where Ray runs already."""
    gpus: int | None
    folder: str
    """Ray's temporary folder."""
    object_store_bytes: int | None
    """None for Ray's own choice."""
    fork_workers: bool
    """Fork the workers from the driver, with its imports (openrlhf/cpu/fork_server.py)."""

    @classmethod
    def local(cls, launch: Launch, folder: Path) -> "RayCluster":
        """Ray on this computer alone, to be started by the driver."""
        return cls(
            address=None,
            node_address=None,
            nodes=1,
            cpus=cpu_slots(launch.cpus, launch.gpus_per_node),
            gpus=launch.gpus_per_node,
            folder=ray_folder(folder),
            object_store_bytes=object_store_bytes(launch.device),
            fork_workers=launch.device == "cpu",
        )

    @classmethod
    def to_join(cls, host: str, port: int | str, nodes: int, folder: Path) -> "RayCluster":
        """Ray whose head listens at `host:port`; the driver runs on the head's node."""
        return cls(
            address=f"{host}:{port}",
            node_address=host,
            nodes=nodes,
            cpus=None,
            gpus=None,
            folder=ray_folder(folder),
            object_store_bytes=None,
            fork_workers=False,
        )

    def to_environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "RayCluster":
        return cls(**json.loads(environment[VARIABLE]))


def cpu_slots(cpus: int, gpus: int) -> int:
    """The CPUs that a node offers to Ray. They are slots, not cores: every actor asks for a share of one."""
    return max(cpus, 4 * gpus, 16)


def object_store_bytes(device: str) -> int | None:
    return CPU_OBJECT_STORE_BYTES if device == "cpu" else None


def ray_folder(folder: Path) -> str:
    """Ray's temporary folder below a launch's or a node's own."""
    return str(folder / "ray")
