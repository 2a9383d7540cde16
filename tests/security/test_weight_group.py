"""A neighbour puts a pickle where vLLM's engines take NCCL's id from: upstream's group runs it, ours has no such place.

Real Ray, real actors and vLLM's own communicator, up to what needs a GPU: NCCL itself is a stand-in, which hands out an
id and tells which one it is given.
"""

import json
import os
import secrets
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import neighbour
import pytest
from deepscaler.training.launch import ray_access, reaper
from deepscaler.training.openrlhf import weight_group
from deepscaler.training.openrlhf.bounds import Bounds

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user to attack as")
BOUNDS = Bounds("8k", "8k-1", 0, 1, 0, 1, False, "/dev/null", None)

LAUNCH = """
import json, os, socket, sys, time
from pathlib import Path
from deepscaler.training.launch.driver import start_ray
from deepscaler.training.launch.spec import RayCluster
from ray._private.parameter import RayParams

init = RayParams.__init__  # a free port for the agent: another Ray of this computer may have its usual one
RayParams.__init__ = lambda self, **given: init(self, **{"dashboard_agent_listen_port": 0, **given})
folder = Path(sys.argv[1])
start_ray(RayCluster(address=None, node_address=None, nodes=1, cpus=2, gpus=0, folder=str(folder / "ray"),
                     object_store_bytes=80 << 20, fork_workers=False))
import ray

@ray.remote(num_cpus=0.1)
class Member:
    def join(self, port, rank):
        import torch
        from openrlhf.utils import distributed_util
        from vllm.distributed.device_communicators import pynccl

        class Made(Exception):
            pass

        class Nccl:
            def __init__(self, path=None):
                deadline = time.monotonic() + 400
                if rank == 1:
                    (folder / "joined").write_text(str(port))
                while rank == 1 and not (folder / "attacked").exists() and time.monotonic() < deadline:
                    time.sleep(0.05)
            def ncclGetRawVersion(self): return 22900
            def ncclGetVersion(self): return "2.29"
            def ncclGetUniqueId(self):
                return pynccl.ncclUniqueId.from_buffer_copy(os.urandom(128))
            def ncclCommInitRank(self, size, unique_id, rank):
                deadline = time.monotonic() + 400
                if rank == 1:
                    (folder / "got").touch()
                while not (folder / "got").exists() and time.monotonic() < deadline:
                    time.sleep(0.05)
                raise Made(bytes(unique_id).hex())

        pynccl.NCCLLibrary = Nccl
        make = distributed_util.stateless_init_process_group
        try:
            make("127.0.0.1", port, rank, 2, torch.device("cpu"))
        except Made as made:
            return make.__module__, str(made)
        except Exception as error:
            return make.__module__, type(error).__name__

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
(folder / "gcs").write_text(ray.get_runtime_context().gcs_address)
members = [Member.remote() for _ in range(2)]
print(json.dumps(ray.get([member.join.remote(port, rank) for rank, member in enumerate(members)])), flush=True)
os._exit(0)
"""

NEIGHBOUR = """
import os, pickle, sys, time
from datetime import timedelta
from torch.distributed import TCPStore
os.setgroups([]); os.setgid(65534); os.setuid(65534)

class Evil:
    def __reduce__(self):
        return (os.system, (sys.argv[2],))

try:
    soon = timedelta(seconds=4)
    store = TCPStore("127.0.0.1", int(sys.argv[1]), is_master=False, wait_for_workers=False, timeout=soon)
    store.set("broadcast_from/0/0", pickle.dumps(Evil()))
    print("put there")
except Exception as error:
    print("no store:", type(error).__name__)
os._exit(0)
"""


def attacked(folder: Path, hooks: bool) -> dict[str, Any]:
    """What both members got while a neighbour, between their meeting and the id, writes to the store's port."""
    mark = f"test-{secrets.token_hex(6)}"
    ran = folder / "ran"
    with reaper.reaped(mark) as place:
        own = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "DEEPSCALER_"))}
        own |= ray_access.LOOPBACK | ray_access.token_variables()
        own |= {"RAY_USAGE_STATS_ENABLED": "0", reaper.VARIABLE: mark, "TMPDIR": str(place), "TORCHDYNAMO_DISABLE": "1"}
        own |= BOUNDS.to_environment() if hooks else {}
        command = [sys.executable, "-W", "ignore", "-c", LAUNCH, str(place)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=own)
        joined = place / "joined"
        neighbour_waits = f"until [ -s {joined} ] || ! kill -0 {process.pid} 2>/dev/null; do sleep 0.1; done"
        subprocess.run(["sh", "-c", neighbour_waits], check=False, timeout=400)
        attack = [sys.executable, "-W", "ignore", "-c", NEIGHBOUR, joined.read_text(), f"id -u > {ran}"]
        put = subprocess.run(attack, capture_output=True, text=True, check=False, timeout=400)
        told = neighbour.attack({"gcs": (place / "gcs").read_text()})["gcs"] if hooks else ""
        (place / "attacked").touch()
        out, _ = process.communicate(timeout=400)
    return {"members": json.loads(out.splitlines()[-1]), "put": put.stdout.strip(), "gcs": told, "ran": ran.exists()}


@pytest.mark.engine
@ROOT_ONLY
@pytest.mark.timeout(1200)
def test_upstreams_group_runs_what_a_neighbour_put_there(tmp_path: Path) -> None:
    """The negative control."""
    found = attacked(tmp_path, hooks=False)
    assert found["put"] == "put there"
    assert found["ran"]
    assert found["members"][0][0] == "openrlhf.utils.distributed_util"


@pytest.mark.engine
@ROOT_ONLY
@pytest.mark.timeout(1200)
def test_the_id_comes_through_ray(tmp_path: Path) -> None:
    found = attacked(tmp_path, hooks=True)
    assert not found["ran"]
    assert found["put"].startswith("no store")
    assert "AuthenticationError" in found["gcs"]
    (module, trainers), (_, engines) = found["members"]
    assert module == weight_group.__name__
    assert trainers == engines
    assert len(bytes.fromhex(trainers)) == 128


class Keys:
    """Ray's keys, of a dictionary."""

    def __init__(self, **values: bytes) -> None:
        self.values = {key.encode(): value for key, value in values.items()}

    def internal_kv_put(self, key: bytes, value: bytes, overwrite: bool, namespace: bytes, timeout: float) -> int:
        new = key not in self.values
        self.values.setdefault(key, value)
        return int(new)

    def internal_kv_get(self, key: bytes, namespace: bytes, timeout: float) -> bytes | None:
        return self.values.get(key)


def test_only_bytes_of_the_ids_size_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys(short=b"x" * 127)
    monkeypatch.setattr(weight_group, "gcs", lambda: keys)
    monkeypatch.setattr(weight_group, "WAIT_SECONDS", 0.0)
    with pytest.raises(RuntimeError, match="holds 127 bytes"):
        weight_group.received(b"short", 128)
    with pytest.raises(RuntimeError, match="has not given"):
        weight_group.received(b"none", 128)
    weight_group.publish(b"new", b"1")
    with pytest.raises(RuntimeError, match="taken"):
        weight_group.publish(b"new", b"2")


@pytest.mark.timeout(300)
def test_vllms_communicator_takes_the_id_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM's own class, up to NCCL: both members start from the same id, and no store is made."""
    import torch
    from vllm.distributed.device_communicators import pynccl

    given: dict[int, bytes] = {}

    class Made(Exception):
        """What comes next needs a GPU."""

    class Nccl:
        def __init__(self, path: str | None = None) -> None:
            """Nothing is loaded."""

        def ncclGetRawVersion(self) -> int:  # noqa: N802
            return 22900

        def ncclGetVersion(self) -> str:  # noqa: N802
            return "2.29"

        def ncclGetUniqueId(self) -> Any:  # noqa: N802
            return pynccl.ncclUniqueId.from_buffer_copy(bytes(range(128)))

        def ncclCommInitRank(self, size: int, unique_id: Any, rank: int) -> None:  # noqa: N802
            given[rank] = bytes(unique_id)
            raise Made

    keys = Keys()
    monkeypatch.setattr(pynccl, "NCCLLibrary", Nccl)
    monkeypatch.setattr(weight_group, "gcs", lambda: keys)
    for rank in (0, 1):
        with pytest.raises(Made):
            weight_group.make_group("127.0.0.1", 1, rank, 2, torch.device("cpu"))
    assert given == {0: bytes(range(128)), 1: bytes(range(128))}
    assert keys.values == {b"nccl/127.0.0.1:1": bytes(range(128))}


def test_another_vllm_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_group, "installed", lambda package: "0.30.0" if package == "vllm" else None)
    with pytest.raises(RuntimeError, match=r"made for vllm 0\.29\.0, not 0\.30\.0"):
        weight_group.make_group("127.0.0.1", 1, 0, 2, "cpu")


def test_the_engines_import_the_extension_with_its_hooks() -> None:
    """Upstream's worker extension is exchanged for ours, and no code that lies with a model is run."""
    from types import SimpleNamespace

    from deepscaler.training.openrlhf import hooks

    class EngineArgs:
        def __init__(self, extension: str) -> None:
            self.worker_extension_cls, self.trust_remote_code = extension, True
            self.__post_init__()

        def __post_init__(self) -> None:
            self.seen = self.worker_extension_cls

    hooks.extend_engines(SimpleNamespace(EngineArgs=EngineArgs), BOUNDS)
    ours, others = EngineArgs(hooks.EXTENSION), EngineArgs("another.Extension")
    assert (ours.seen, ours.trust_remote_code) == (hooks.OWN_EXTENSION, False)
    assert (others.seen, others.trust_remote_code) == ("another.Extension", True)
    assert not hasattr(ours, "max_num_seqs")


def test_the_engines_draw_as_many_answers_at_once_as_the_layout_says() -> None:
    from types import SimpleNamespace

    from deepscaler.training.openrlhf import hooks

    class EngineArgs:
        worker_extension_cls, max_num_seqs = hooks.EXTENSION, None

        def __post_init__(self) -> None:
            self.seen = self.max_num_seqs

    hooks.extend_engines(SimpleNamespace(EngineArgs=EngineArgs), replace(BOUNDS, max_sequences=256))
    engine = EngineArgs()
    engine.__post_init__()
    assert engine.seen == 256
