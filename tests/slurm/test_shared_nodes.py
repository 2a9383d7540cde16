"""Two launches on the same two nodes at once: each Ray has its own ports, its own nodes and its own GPUs."""

import json
import sys
from pathlib import Path

import pytest
from cluster import Cluster, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

LAUNCH = """
import json, os, sys, time, uuid
from contextlib import ExitStack
from pathlib import Path
from deepscaler.training.launch import ray_on_slurm, reaper
from deepscaler.training.launch.launch import base_environment
from deepscaler.training.launch.spec import Launch

mine, other = map(Path, sys.argv[1:])
launch = Launch(flags=[], environment={}, device="cpu", nodes=2, gpus_per_node=1, cpus=1, logs=mine)
with ExitStack() as stack:
    token = uuid.uuid4().hex[:12]
    folder = stack.enter_context(reaper.reaped(token))
    environment = base_environment(launch, token, folder)
    cluster, _ = ray_on_slurm.start(launch, environment, folder, stack)
    os.environ.update({key: value for key, value in environment.items() if key.startswith("RAY_AUTH_")})
    import ray
    ray.init(address=cluster.address, _node_ip_address=cluster.node_address)

    @ray.remote(num_gpus=1, num_cpus=0, scheduling_strategy="SPREAD")
    def where():
        import os, socket
        time.sleep(2)  # so that the second does not follow the first on its GPU
        return socket.gethostname(), os.environ["CUDA_VISIBLE_DEVICES"]

    seen = {"nodes": sum(node["Alive"] for node in ray.nodes()), "gpus": ray.get([where.remote(), where.remote()])}
    (mine / "part").write_text(json.dumps(seen))
    (mine / "part").rename(mine / "seen")
    while not (other / "seen").exists():
        time.sleep(0.2)
"""


def test_two_launches_on_the_same_nodes_do_not_meet(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "launch.py").write_text(LAUNCH)
    folders = [tmp_path / "first", tmp_path / "second"]
    ask = ["sbatch", "--parsable", "-p", "gpu", "-A", "deepscaler", "--nodelist=node1,node2", "--nodes=2", "--ntasks=2"]
    ask += ["--gres=gpu:a100:1", "--mem=4000", "--time=10", "--chdir", str(tmp_path)]
    for folder, other in (folders, reversed(folders)):
        folder.mkdir(exist_ok=True)
        command = f"{sys.executable} {tmp_path / 'launch.py'} {folder} {other}"
        cluster.run(*ask, "--output", str(folder / "out"), "--wrap", command)
    output = lambda: "\n".join((folder / "out").read_text() for folder in folders if (folder / "out").exists())  # noqa: E731
    wait_until(
        lambda: all((folder / "seen").exists() for folder in folders), 400, "both to have seen their nodes", output
    )
    seen = [json.loads((folder / "seen").read_text()) for folder in folders]
    assert [one["nodes"] for one in seen] == [2, 2]
    gpus = [tuple(gpu) for one in seen for gpu in one["gpus"]]
    assert {host for host, _ in gpus} == {"node1", "node2"}
    assert len(set(gpus)) == 4, "each job on GPUs of its own"
