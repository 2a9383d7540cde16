"""The test cluster itself: it hands out GPUs as SLURM does, and nothing of it outlives its owner."""

import signal
import subprocess
import sys
from pathlib import Path

from cluster import Cluster, wait_until

OWNER = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from cluster import Cluster, Shape
cluster = Cluster(Shape(nodes=2, gpus=2))
cluster.__enter__()
cluster.run("sbatch", "-A", "deepscaler", "-N", "2", "--output", "/dev/null", "--wrap", "srun sleep 987")
print(cluster.folder, flush=True)
sys.stdin.read()
"""


def processes(word: str) -> list[str]:
    """Command lines of this computer with this word in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line:
            found.append(line)
    return found


def test_nothing_outlives_a_killed_owner(cluster: Cluster) -> None:
    """`cluster` is here for its skip: where no cluster can be started, this can't be tried either."""
    here = str(Path(__file__).parent)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, here], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout
    try:
        folder = owner.stdout.readline().strip()
        assert folder.startswith("/tmp/slurm-")
        wait_until(lambda: len(processes("sleep 987")) >= 2, 30, "the job to run on both nodes")
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)
        wait_until(lambda: not processes(folder) and not processes("sleep 987"), 10, "all to be gone")
    finally:
        owner.kill()
        owner.wait(10)
    subprocess.run(["rm", "-rf", folder], check=True)


def test_jobs_see_only_their_gpus(cluster: Cluster) -> None:
    ask = ["sbatch", "--wait", "-A", "deepscaler", "-p", "gpu", "--gres=gpu:a100:3", "--mem=1000"]
    out = cluster.folder / "gpus.txt"
    cluster.run(*ask, "--output", str(out), "--wrap", "echo $(hostname) $CUDA_VISIBLE_DEVICES")
    node, gpus = out.read_text(encoding="utf-8").split()
    assert node in cluster.nodes
    assert len(gpus.split(",")) == 3
