"""What goes wrong on a cluster, done to jobs that only take time; afterwards the same command finishes."""

import re
import time
from collections.abc import Callable

import pytest
from checkout import Checkout
from cluster import Cluster, wait_until

FAULTS = ("--snakefile", "tests/slurm/faults.smk")


def note(checkout: Checkout, name: str) -> str:
    """Where the first attempt of a job runs and on which GPUs, or nothing yet."""
    path = checkout.folder / "faults" / name
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def jobs_of(cluster: Cluster, name: str) -> list[dict[str, str]]:
    """The SLURM jobs of a wildcard's value, oldest first."""
    found = [job for job in cluster.jobs() if job.get("Comment", "").endswith(f"_{name}")]
    return sorted(found, key=lambda job: int(job["JobId"]))


@pytest.mark.timeout(900)
def test_lost_jobs_are_handed_in_again(checkout: Checkout, cluster: Cluster) -> None:
    """One run in which the controller is away for a while, and then each fault hits a job of its own.

    Wall time over, scancel, a killed process, a node that loses power; and a job that ends while nobody can ask.
    """
    names = ["late", "cancelled", "killed", "8k-1"]
    targets = ["faults/mini/late.txt", "faults/mini/cancelled.txt", "faults/mini/killed.txt", "faults/paper/8k-1.txt"]
    slow = checkout.folder / "slow"
    with checkout.start(*targets, "slow/mini/unseen.txt", *FAULTS, seconds=850) as running:
        everything = lambda: all(note(checkout, name) for name in names) and (slow / "unseen.log").exists()  # noqa: E731
        wait_until(everything, 300, "all jobs to run", running.text)
        places = {name: note(checkout, name).split() for name in names}
        one_gpu = [tuple(places[name]) for name in names[:3]]
        assert len(set(one_gpu)) == 3
        assert all(len(gpus.split(",")) == 1 for _, gpus in one_gpu)
        node, gpus = places["8k-1"]
        assert gpus == "0,1,2,3,4,5,6,7"
        assert node not in {other for other, _ in one_gpu}

        cluster.kill("controller")
        (slow / "unseen.end").touch()
        time.sleep(12)  # status checks fail, and a job ends
        cluster.start_controller(fresh=False)
        # its node, which may be the one that loses power, reports its end when it finds the controller again
        ended = lambda: jobs_of(cluster, "unseen")[0]["JobState"] == "COMPLETED"  # noqa: E731
        wait_until(ended, 90, "the end of the unseen job to be reported", running.text)
        cluster.run("scontrol", "update", f"JobId={jobs_of(cluster, 'late')[0]['JobId']}", "TimeLimit=1")
        cluster.run("scancel", jobs_of(cluster, "cancelled")[0]["JobId"])
        assert cluster.kill_processes("hit-faults/killed") == 1
        cluster.power_off(node)
        assert running.wait(500) == 0, running.text()
    cluster.power_on(node)

    states = {name: [job["JobState"] for job in jobs_of(cluster, name)] for name in [*names, "unseen"]}
    assert states == {
        "late": ["TIMEOUT", "COMPLETED"],
        "cancelled": ["CANCELLED", "COMPLETED"],
        "killed": ["FAILED", "COMPLETED"],
        "8k-1": ["NODE_FAIL", "COMPLETED"],
        "unseen": ["COMPLETED"],
    }
    assert not (checkout.folder / targets[3]).read_text(encoding="utf-8").startswith(node), "handed in elsewhere"


@pytest.mark.timeout(500)
def test_snakemake_killed_and_started_again(copy_checkout: Callable[[], Checkout], cluster: Cluster) -> None:
    """The same command again: what still runs is waited for and kept, what still waits is cancelled."""
    checkout = copy_checkout()
    slow = checkout.folder / "slow"
    targets = ["slow/mini/orphan.txt", "slow/mini/waiting.txt"]
    with checkout.start(*targets, *FAULTS, EXTRA_waiting="--begin=now+3600") as running:
        wait_until((slow / "orphan.log").exists, 90, "a job to run", running.text)
        wait_until(lambda: len(jobs_of(cluster, "waiting")) == 1, 30, "a job to wait", running.text)
        running.kill()
    with checkout.start(*targets, *FAULTS) as again:
        wait_until(lambda: "of an earlier run" in again.text(), 60, "the orphans to be seen", again.text)
        for name in ("orphan", "waiting"):
            (slow / f"{name}.end").touch()
        assert again.wait(200) == 0, again.text()
    assert [job["JobState"] for job in jobs_of(cluster, "waiting")] == ["CANCELLED", "COMPLETED"]
    assert [job["JobState"] for job in jobs_of(cluster, "orphan")] == ["COMPLETED"]
    for name in ("orphan", "waiting"):
        assert (slow / f"{name}.log").read_text(encoding="utf-8").split() == ["begin", "end"]


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("DEEPSCALER_ACCOUNT", "wrong", r"would refuse one_gpu .*Invalid account.*account is wrong"),
        ("DEEPSCALER_WORK", "/proc/scratch", r"can't write to /proc/scratch.*`work` must be a folder"),
    ],
)
def test_wrong_site_settings_stop_before_the_first_job(
    checkout: Checkout, cluster: Cluster, variable: str, value: str, expected: str
) -> None:
    before = {job["JobId"] for job in cluster.jobs()}
    done = checkout.snakemake("faults/mini/unwanted.txt", *FAULTS, **{variable: value})
    assert done.returncode == 1
    assert re.search(expected, done.stdout), done.stdout
    assert "Traceback" not in done.stdout
    assert {job["JobId"] for job in cluster.jobs()} <= before


GROUP = ("pair/mini/second.txt", *FAULTS, "--groups", "first=pair", "second=pair", "--retries", "0")
"""Two jobs of ten minutes each, submitted as one."""


def test_a_group_is_put_to_slurm_as_it_will_be_submitted(checkout: Checkout, cluster: Cluster) -> None:
    before = {job["JobId"] for job in cluster.jobs()}
    cluster.run("scontrol", "update", "PartitionName=cpu", "MaxTime=15")
    try:
        done = checkout.snakemake(*GROUP)
    finally:
        cluster.run("scontrol", "update", "PartitionName=cpu", "MaxTime=2-00:00:00")
    assert done.returncode == 1
    assert re.search(r"would refuse group pair \(.* -t 20 .*Requested time limit is invalid", done.stdout), done.stdout
    assert "`groups` in profiles/slurm/config.yaml" in done.stdout
    assert {job["JobId"] for job in cluster.jobs()} <= before


def test_of_a_failed_group_the_job_that_failed_is_named_last(checkout: Checkout, cluster: Cluster) -> None:
    done = checkout.snakemake(*GROUP)
    assert done.returncode == 1
    said = "second failed: ValueError: the grades are not there (all of it: logs/mini/second/all.log), in group pair"
    assert said in done.stdout.splitlines()[-8:], done.stdout
    assert "first failed" not in done.stdout


def test_check_site_says_what_slurm_takes(checkout: Checkout) -> None:
    done = checkout.deepscaler("check_site", "--scale", "paper")
    assert done.returncode == 0, done.stdout
    assert re.search(r"accepted: train_segment: .*--nodes=4 .*--ntasks=4 .*--gres=gpu:a100:8", done.stdout)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("DEEPSCALER_ACCOUNT", "", r"Invalid account.*account is not set"),
        ("DEEPSCALER_GPU_PARTITION", "gpus", r"partition.*did you mean 'gpu'"),
        ("DEEPSCALER_GPU_MODEL", "h100", r"gpu:h100:1.*gpu_model"),
        ("DEEPSCALER_GPU_CONSTRAINT", "a100_80gb", r"feature.*gpu_constraint"),
        ("DEEPSCALER_WORK", "/proc/scratch", r"can't write to /proc/scratch"),
        ("PATH", "/nowhere", r"no sbatch here.*login node"),
    ],
)
def test_check_site_names_what_is_wrong(checkout: Checkout, variable: str, value: str, expected: str) -> None:
    done = checkout.deepscaler("check_site", "--scale", "released", **{variable: value})
    assert done.returncode == 2
    assert re.search(expected, done.stdout), done.stdout
    assert done.stdout.count("\n") < 10
    assert "Traceback" not in done.stdout
