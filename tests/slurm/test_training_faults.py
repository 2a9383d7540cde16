"""Everything goes wrong while real training runs on two nodes; after each, the same command goes on.

The run of test_pipeline.py is the undisturbed one. Its training, samples and tables are made once more:

    8k-1    scancelled after a saved step; in its second try Snakemake is killed and started again, and the try goes on
    8k-2    a node loses power; then a process is killed; then it hangs until the wall time is over, and with it the
            last retry. The command given a third time finishes, while the controller is restarted under it
    sample  scancelled while it samples
"""

import csv
import shutil
import signal
from itertools import pairwise
from pathlib import Path

import pytest
from checkout import Checkout
from cluster import Cluster, wait_until
from pair_run import SCALE, TARGETS, Accountant, log_of, node_logs, run_folder, saved, work

pytestmark = [pytest.mark.engine, pytest.mark.timeout(7200)]
PATIENCE = 600
"""Seconds for a launch on two nodes to come so far: about 60 where nothing else runs."""


@pytest.fixture(scope="module")
def undisturbed(whole_run: Accountant, pair: Checkout) -> Path:
    """Where the undisturbed run's results and chain have been put aside."""
    aside = pair.folder / "undisturbed"
    aside.mkdir()
    for name in ("runs", "checkpoints", "samples", "grades"):
        shutil.move(work(pair) / name, aside / name)
    shutil.move(pair.folder / f"results/{SCALE}", aside / "results")
    return aside


@pytest.fixture(scope="module")
def disturbed(undisturbed: Path, pair: Checkout, cluster: Cluster) -> Accountant:
    with Accountant(cluster) as accountant:
        command = (f"results/{SCALE}/training.csv", "--jobs", "1")
        with pair.start(*command, seconds=3000) as running:
            wait_until(lambda: saved(pair, "8k-1", 1), PATIENCE, "the state of step 1", running.text)
            cluster.run("scancel", last_job(accountant, "8k-1"))
            wait_until(lambda: ray_is_up(pair, "8k-1", 2), PATIENCE, "Ray of the second try", running.text)
            running.kill()
        with pair.start(*command, seconds=3000) as running:
            wait_until(lambda: saved(pair, "8k-2", 3), 2 * PATIENCE, "the state of step 3", running.text)
            other = sorted(node_logs(pair, "8k-2", 1))[-1]
            cluster.power_off(other)
            wait_until(lambda: ray_is_up(pair, "8k-2", 2), PATIENCE, "Ray of the second try", running.text)
            cluster.power_on(other)
            wait_until(lambda: cluster.kill_processes("ray::PolicyModelActor") > 0, PATIENCE, "an actor", running.text)
            wait_until(lambda: ray_is_up(pair, "8k-2", 3), PATIENCE, "Ray of the third try", running.text)
            hang = lambda: cluster.kill_processes("deepscaler.training.launch.driver", signal.SIGSTOP) > 0  # noqa: E731
            wait_until(hang, PATIENCE, "the driver, to make it hang until its time is over", running.text)
            cluster.run("scontrol", "update", f"JobId={last_job(accountant, '8k-2')}", "TimeLimit=1")
            assert running.wait(PATIENCE) == 1, running.text()
        with pair.start(*command, seconds=3000) as running:
            wait_until(lambda: ray_is_up(pair, "8k-2", 4), PATIENCE, "Ray of the fourth try", running.text)
            cluster.restart_controller()
            assert running.wait(PATIENCE) == 0, running.text()
        with pair.start(*TARGETS, "--jobs", "2", seconds=3000) as running:
            wait_until(lambda: bool(cluster.processes("deepscaler\0sample")), PATIENCE, "a sampler", running.text)
            accountant.note()
            samples = accountant.of("rule_sample_wildcards")
            cluster.run("scancel", next(job["JobId"] for job in samples if job["JobState"] == "RUNNING"))
            assert running.wait(2 * PATIENCE) == 0, running.text()
    return accountant


def last_job(accountant: Accountant, segment: str) -> str:
    accountant.note()
    return accountant.of(f"train_segment_wildcards_{SCALE}_{segment}")[-1]["JobId"]


def ray_is_up(checkout: Checkout, segment: str, attempt: int) -> bool:
    return [("Ray runtime started" in log) for log in node_logs(checkout, segment, attempt).values()] == [True, True]


def states(accountant: Accountant, segment: str, before: Accountant) -> list[str]:
    jobs = accountant.of(f"train_segment_wildcards_{SCALE}_{segment}")
    return [job["JobState"] for job in jobs if job["JobId"] not in before.jobs]


def test_each_fault_cost_one_job(disturbed: Accountant, whole_run: Accountant) -> None:
    """The try that outlived its Snakemake is the last of 8k-1: its checkpoint was kept, no second job followed."""
    assert states(disturbed, "8k-1", whole_run) == ["CANCELLED", "COMPLETED"]
    assert states(disturbed, "8k-2", whole_run) == ["NODE_FAIL", "FAILED", "TIMEOUT", "COMPLETED"]


def test_no_two_jobs_trained_at_once(disturbed: Accountant, whole_run: Accountant) -> None:
    for segment in ("8k-1", "8k-2"):
        jobs = disturbed.of(f"train_segment_wildcards_{SCALE}_{segment}")
        new = [job for job in jobs if job["JobId"] not in whole_run.jobs]
        assert all(later["StartTime"] >= job["EndTime"] for job, later in pairwise(new))


def test_each_try_went_on_from_the_last_saved_step(disturbed: Accountant, pair: Checkout) -> None:
    assert "going on at step 1 of 2" in log_of(pair, "8k-1")
    assert "going on at step 3 of 4" in log_of(pair, "8k-2")
    for segment, tries in (("8k-1", 2), ("8k-2", 4)):
        folder = run_folder(pair, segment)
        assert folder
        assert len(list((folder / "logs").iterdir())) == tries
        assert all(len(node_logs(pair, segment, attempt)) == 2 for attempt in range(1, tries + 1))


def test_no_step_is_lost_or_double(disturbed: Accountant, pair: Checkout) -> None:
    with (pair.folder / f"results/{SCALE}/training.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]


def test_the_lost_sample_was_made_again(disturbed: Accountant, whole_run: Accountant) -> None:
    jobs = [job for job in disturbed.of("rule_sample_wildcards") if job["JobId"] not in whole_run.jobs]
    assert sorted(job["JobState"] for job in jobs) == ["CANCELLED"] + 4 * ["COMPLETED"]


def table_of(results: Path) -> list[dict[str, str]]:
    """All but the digest of the checkpoint's manifest, in which a segment's times stand."""
    with (results / "table.csv").open(encoding="utf-8", newline="") as file:
        return [{key: cell for key, cell in row.items() if key != "model_sha256"} for row in csv.DictReader(file)]


def test_the_table_is_the_undisturbed_runs(disturbed: Accountant, pair: Checkout, undisturbed: Path) -> None:
    assert table_of(pair.folder / f"results/{SCALE}") == table_of(undisturbed / "results")


def test_nothing_is_left_on_any_node(disturbed: Accountant, cluster: Cluster) -> None:
    assert not list(cluster.folder.glob("tmp/node*/dsr-*"))
    assert cluster.kill_processes("ray::") == 0
