"""Real training on two nodes is told to end, by a preemption and before its wall time is over, and loses no step.

The run of test_pipeline.py is the undisturbed one: the checkpoints come out equal to the byte. Of a job on several
nodes SLURM tells what runs under srun alone, on each node; which tells the launch.
"""

import shutil

import pytest
from chaos import digests
from checkout import Checkout
from cluster import Cluster, wait_until
from pair_run import SCALE, Accountant, log_of, node_logs, work

pytestmark = [pytest.mark.engine, pytest.mark.timeout(7200)]
PATIENCE = 1200
"""Seconds for a launch on two nodes to come so far: about 60 where nothing else runs."""
TARGET = f"results/{SCALE}/training.csv"


@pytest.fixture(scope="module")
def undisturbed(whole_run: Accountant, pair: Checkout) -> dict[str, str]:
    """The digests of the undisturbed run's checkpoints, which are put aside while this file trains them again."""
    return digests(pair)


@pytest.fixture(scope="module")
def told(undisturbed: dict[str, str], pair: Checkout, cluster: Cluster) -> Accountant:
    aside = pair.folder / "untold"
    aside.mkdir()
    for name in ("runs", "checkpoints"):
        shutil.move(work(pair) / name, aside / name)
    (pair.folder / TARGET).rename(aside / "training.csv")
    environment = {"DEEPSCALER_GPU_PARTITION": "spare", "DEEPSCALER_WARNING_SECONDS": "1200"}
    with (
        Accountant(cluster) as accountant,
        pair.start(TARGET, "--jobs", "1", "--retries", "0", seconds=7000, **environment) as running,
    ):
        wait_until(lambda: ray_is_up(pair, "8k-1"), PATIENCE, "Ray of the first job", running.text)
        cluster.preempt(sorted(node_logs(pair, "8k-1", 1))[-1])
        wait_until(lambda: ray_is_up(pair, "8k-2"), 3 * PATIENCE, "Ray of the second segment", running.text)
        accountant.note()
        job = accountant.of(f"train_segment_wildcards_{SCALE}_8k-2")[-1]["JobId"]
        cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=20")  # so long before its end it is told
        assert running.wait(3 * PATIENCE) == 0, running.text()
    return accountant


def ray_is_up(checkout: Checkout, segment: str) -> bool:
    logs = node_logs(checkout, segment, 1).values()
    return [("Ray runtime started" in log) for log in logs] == [True, True]


def test_each_was_told_by_its_nodes_and_saved_at_the_end_of_its_step(told: Accountant, pair: Checkout) -> None:
    for segment, step in (("8k-1", 1), ("8k-2", 3)):
        [folder] = (work(pair) / "runs").glob(f"{segment}-*")
        assert len(list((folder / "logs").iterdir())) == 2
        assert f"going on at step {step} of {step + 1}" in log_of(pair, segment)


def test_the_checkpoints_are_those_of_the_undisturbed_run(
    told: Accountant, undisturbed: dict[str, str], pair: Checkout
) -> None:
    assert digests(pair) == undisturbed


def test_nothing_is_left_on_any_node(told: Accountant, cluster: Cluster) -> None:
    assert not list(cluster.folder.glob("tmp/node*/dsr-*"))
    assert cluster.kill_processes("ray::") == 0
