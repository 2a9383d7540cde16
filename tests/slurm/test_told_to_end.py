"""Jobs of training that SLURM or a person tells to end: what is submitted again, and that no step is lost.

SLURM is real, and so is all that listens; the steps only take time (told.py). Real training is told to end in
test_training_faults.py.
"""

import re
from pathlib import Path

import pytest
from checkout import Checkout, Running
from cluster import Cluster, wait_until

FAULTS = ("--snakefile", "tests/slurm/faults.smk", "--retries", "0")
SEGMENTS = {
    "8k-1": "preempted",
    "8k-2": "preempted",
    "16k-1": "wall time",
    "mini-lora/16k-1": "scancel",
    "24k-1": "requeue",
}
STEPS = 40

pytestmark = pytest.mark.timeout(1200)


def scale_and_segment(segment: str) -> str:
    """Of a segment of mini, or of another scale's: `mini-lora/16k-1`."""
    return segment if "/" in segment else f"mini/{segment}"


def run_folder(checkout: Checkout, segment: str) -> Path:
    scale, name = scale_and_segment(segment).split("/")
    return checkout.folder / f"work/{scale}/runs/{name}"


def made(checkout: Checkout, segment: str) -> list[int]:
    """Every step that was made, also those that were lost."""
    path = run_folder(checkout, segment) / "steps"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def jobs_of(cluster: Cluster, segment: str) -> list[dict[str, str]]:
    comment = "rule_train_segment_wildcards_" + scale_and_segment(segment).replace("/", "_")
    return sorted((job for job in cluster.jobs() if job.get("Comment") == comment), key=lambda job: int(job["JobId"]))


def start_all(checkout: Checkout, cluster: Cluster, running: Running, *segments: str) -> dict[str, dict[str, str]]:
    """Each segment's job, when it has made a step."""
    everyone = lambda: all(made(checkout, segment) for segment in segments)  # noqa: E731
    wait_until(everyone, 400, "all jobs to make a step", running.text)
    return {segment: jobs_of(cluster, segment)[-1] for segment in segments}


@pytest.fixture(scope="module")
def told(checkout: Checkout, cluster: Cluster) -> str:
    """What Snakemake printed of one run in which every segment is told to end once; no job may fail, for no retries."""
    targets = [f"told/{scale_and_segment(segment)}.txt" for segment in SEGMENTS]
    with checkout.start(*targets, *FAULTS, seconds=1100) as running:
        jobs = start_all(checkout, cluster, running, *SEGMENTS)
        urgent = [cluster.preempt(jobs[segment]["NodeList"]) for segment in ("8k-1", "8k-2")]
        cluster.run("scontrol", "update", f"JobId={jobs['16k-1']['JobId']}", "TimeLimit=2")
        cluster.run("scancel", jobs["mini-lora/16k-1"]["JobId"])
        number = jobs["24k-1"]["JobId"]
        refused = cluster.ask("scontrol", "requeue", number)
        assert refused.returncode != 0, "the profile lets nothing be requeued"
        cluster.run("scontrol", "update", f"JobId={number}", "Requeue=1")  # but an administrator can
        cluster.run("scontrol", "requeue", number)
        assert running.wait(900) == 0, running.text()
        assert len(urgent) == 2
    return running.text()


def test_each_was_submitted_again_without_a_retry(told: str, cluster: Cluster) -> None:
    """A requeued job keeps its number, and Snakemake goes on waiting for it."""
    numbers = {segment: len(jobs_of(cluster, segment)) for segment in SEGMENTS}
    assert numbers == {"8k-1": 2, "8k-2": 2, "16k-1": 2, "mini-lora/16k-1": 2, "24k-1": 1}
    assert all(jobs_of(cluster, segment)[-1]["JobState"] == "COMPLETED" for segment in SEGMENTS)
    assert jobs_of(cluster, "24k-1")[0]["Restarts"] == "1"
    assert len(re.findall(r"Told to end: SLURM job \d+ \(train_segment\) .*: submitted again", told)) == 4


def test_no_red_line_is_printed(told: str) -> None:
    assert "failed" not in told
    assert "Error" not in told


def test_no_step_is_lost_or_double(told: str, checkout: Checkout) -> None:
    """None saves by itself: a step that was not saved when the job ended would have been made again."""
    for segment in SEGMENTS:
        assert made(checkout, segment) == list(range(1, STEPS + 1)), segment


def test_no_note_is_left(told: str, checkout: Checkout) -> None:
    left = [path.name for path in (checkout.folder / "work").glob("*/runs/*") if path.is_file()]
    assert left == []


def test_a_grace_that_is_shorter_than_a_step_costs_a_retry_where_nothing_was_saved(
    checkout: Checkout, cluster: Cluster
) -> None:
    """SIGKILL right after SIGTERM, by `scancel --signal`: the state before it stands, which here is none."""
    with checkout.start("told/mini-lora/24k-1.txt", *FAULTS, seconds=300) as running:
        job = start_all(checkout, cluster, running, "mini-lora/24k-1")["mini-lora/24k-1"]
        cluster.kill_processes("told.py\0train_segment\0work/mini-lora/runs/24k-1")
        assert running.wait(120) == 1, running.text()
    assert len(jobs_of(cluster, "mini-lora/24k-1")) == 1
    assert jobs_of(cluster, "mini-lora/24k-1")[0]["JobId"] == job["JobId"]


def test_after_ctrl_c_training_ends_with_its_step_and_the_same_command_goes_on(
    checkout: Checkout, cluster: Cluster
) -> None:
    command = ("told/mini-async/16k-1.txt", *FAULTS)
    with checkout.start(*command, seconds=300) as running:
        start_all(checkout, cluster, running, "mini-async/16k-1")
        running.interrupt()
        assert running.wait(120) == 1, running.text()
        assert "ends when its step is saved" in running.text()
    with checkout.start(*command, seconds=300) as again:
        assert again.wait(250) == 0, again.text()
    assert made(checkout, "mini-async/16k-1") == list(range(1, STEPS + 1))
    assert [job["JobState"] for job in jobs_of(cluster, "mini-async/16k-1")] == ["FAILED", "COMPLETED"]
