"""One node of Ray in a multi-node launch, under srun: the head, or a worker that joins it.

    python -m deepscaler.training.node head|worker HEAD_ADDRESS HEAD_PORT GPUS CPUS DEVICE

It ends when its standard input does, and takes everything that Ray started on this node with it. The launch closes
that, or dies: a signal to srun instead would kill the node's processes before they could clean up.
"""

import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

from deepscaler.training import reaper
from deepscaler.training.cluster import address_of_this_node, free_port


def main() -> None:
    role, address, port, gpus, cpus, device = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # SLURM's own, at scancel and at the wall time
    token = uuid.uuid4().hex[:12]
    with reaper.reaped(token) as folder:
        own = {reaper.VARIABLE: token, "TMPDIR": str(folder), "HF_DATASETS_CACHE": str(folder / "datasets")}
        started = command(role, address, port, int(gpus), int(cpus), device, folder)
        ray = subprocess.Popen(started, env=os.environ | own, stdin=subprocess.DEVNULL)
        threading.Thread(target=end_with_input, args=(ray,), daemon=True).start()
        code = ray.wait()
    sys.exit(code)


def end_with_input(process: "subprocess.Popen[bytes]") -> None:
    sys.stdin.buffer.read()
    process.terminate()


def command(role: str, address: str, port: str, gpus: int, cpus: int, device: str, folder: Path) -> list[str]:
    """`ray start` in the foreground. CPUs are slots, of which every actor asks for a share.

    Ray's own default ports are the same for every Ray on a computer; these are free ones, so that two jobs on one node
    don't take each other's.
    """
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    ray += [f"--num-gpus={gpus}", f"--num-cpus={max(cpus, 4 * gpus, 16)}", f"--temp-dir={folder / 'ray'}"]
    ray += ["--min-worker-port=0", "--max-worker-port=0", f"--dashboard-agent-listen-port={free_port()}"]
    if device == "cpu":
        ray += [f"--object-store-memory={512 << 20}"]
    if role == "head":
        ray += ["--head", f"--port={port}", "--include-dashboard=false", f"--ray-client-server-port={free_port()}"]
        return [*ray, f"--node-ip-address={address}"]
    return [*ray, f"--address={address}:{port}", f"--node-ip-address={address_of_this_node(address)}"]


if __name__ == "__main__":
    main()
