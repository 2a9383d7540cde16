"""One node of Ray in a multi-node launch, under srun: the head, or a worker that joins it.

    python -m deepscaler.training.launch.ray_node head|worker HEAD_ADDRESS HEAD_PORT GPUS CPUS DEVICE

It ends when its standard input is closed, and stops everything that Ray started on this node. The launch closes that
input, or its death does: a signal to srun instead would kill the node's processes before they could clean up. SIGTERM,
which SLURM sends to the nodes alone where a preemption leaves some time, is passed on to the launch.
"""

import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

from deepscaler import caches
from deepscaler.training.launch import ray_access, reaper, shield
from deepscaler.training.launch.ray_on_slurm import STARTED, address_of_this_node, free_port
from deepscaler.training.launch.spec import cpu_slots, object_store_bytes, ray_folder
from deepscaler.training.run import stop_request

TRIES = 3


def main() -> None:
    role, address, port, gpus, cpus, device = sys.argv[1:]
    ray_access.require_token()
    signal.signal(signal.SIGTERM, lambda *_: stop_request.warn(os.environ))
    caches.use_own_caches(os.environ)  # this node's, not the first one's
    token = uuid.uuid4().hex[:12]
    with reaper.reaped(token) as folder:
        own = {reaper.VARIABLE: token, "TMPDIR": str(folder), "HF_DATASETS_CACHE": str(folder / "datasets")}
        code = run(command(role, address, port, int(gpus), int(cpus), device, folder), os.environ | own, token)
    sys.exit(code)


def run(ray: list[str], environment: dict[str, str], token: str) -> int:
    """Run Ray until it ends or this process's input is closed; returns the exit code.

    Ray gives a node 30 s to come up, always; where that was too short (a busy node, a slow disk) it is tried again.
    """
    for _ in range(TRIES):
        with shield.shielded():
            process = subprocess.Popen(ray, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        started = threading.Event()
        threading.Thread(target=end_with_input, args=(process,), daemon=True).start()
        reader = threading.Thread(target=pass_on, args=(process, started), daemon=True)
        reader.start()
        code = process.wait()
        reader.join(1)  # not longer: processes that it started may still hold its output open
        if started.is_set() or code < 0:
            break
        reaper.stop_all(token)
    return code


def pass_on(process: "subprocess.Popen[bytes]", started: threading.Event) -> None:
    """Print what it prints, and set `started` at the line that says so."""
    assert process.stdout is not None
    for line in process.stdout:
        if STARTED in line:
            started.set()
        os.write(1, line)


def end_with_input(process: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 4096):  # not sys.stdin: a thread that waits in it aborts the interpreter's end
        pass
    process.kill()  # what it started is ended by the reaper


def command(role: str, address: str, port: str, gpus: int, cpus: int, device: str, folder: Path) -> list[str]:
    """`ray start` in the foreground.

    Ray's own default ports are the same for every Ray on a computer; these are free ones, so that two jobs on one node
    don't take each other's.
    """
    ray = [sys.executable, "-m", "deepscaler.training.launch.ray_access", "start", "--block", "--disable-usage-stats"]
    ray += [f"--num-gpus={gpus}", f"--num-cpus={cpu_slots(cpus, gpus)}", f"--temp-dir={ray_folder(folder)}"]
    ray += ["--min-worker-port=0", "--max-worker-port=0", f"--dashboard-agent-listen-port={free_port()}"]
    if (memory := object_store_bytes(device)) is not None:
        ray += [f"--object-store-memory={memory}"]
    if role == "head":
        ray += ["--head", f"--port={port}", "--include-dashboard=false"]
        return [*ray, f"--node-ip-address={address}"]
    return [*ray, f"--address={address}:{port}", f"--node-ip-address={address_of_this_node(address)}"]


if __name__ == "__main__":
    main()
