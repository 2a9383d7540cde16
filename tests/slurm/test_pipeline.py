"""The whole DAG through `--profile slurm` with the real engines, at the size of tests/slurm/pair/.

Training is on two nodes with Ray across them. While it trains, Snakemake is killed and started again, and later the job
is cancelled: no step is lost, and no two jobs ever train at once.
"""

import csv
import json
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import Checkout
from cluster import Cluster, wait_until

SCALE = "pair"
RESULTS = ["table.csv", "tokens.csv", "training.csv", "curation.csv", "compute.csv", "settings.yaml"]
TARGETS = [f"results/{SCALE}/{name}" for name in RESULTS]
# two cores do the work of two nodes
AT_ONCE = ("--jobs", "2")
HERE = Path(__file__).parent
pytestmark = [pytest.mark.engine, pytest.mark.timeout(6000)]


class Accountant:
    """Notes what SLURM says of every job while it still remembers it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.jobs, self.ended = cluster, dict[str, dict[str, str]](), threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self) -> None:
        while not self.ended.wait(2):
            self.note()

    def note(self) -> None:
        for job in self.cluster.jobs():
            self.jobs[job["JobId"]] = {**self.jobs.get(job["JobId"], {}), **job}

    def of(self, word: str) -> list[dict[str, str]]:
        """Jobs with this word in their comment (the rule and its wildcards), oldest first."""
        found = [job for job in self.jobs.values() if word in job.get("Comment", "")]
        return sorted(found, key=lambda job: int(job["JobId"]))

    def __enter__(self) -> "Accountant":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join(60)
        self.note()


@pytest.fixture(scope="module")
def pair(copy_checkout: Callable[[], Checkout]) -> Checkout:
    checkout = copy_checkout()
    shutil.copy(HERE / "pair/scale.yaml", checkout.folder / f"config/scales/{SCALE}.yaml")
    shutil.copy(HERE / "pair/recipe.yaml", checkout.folder / f"config/recipes/{SCALE}.yaml")
    return checkout


@pytest.fixture(scope="module")
def accounts(pair: Checkout, cluster: Cluster) -> Accountant:
    """The run, with its two disturbances; to its end."""
    with Accountant(cluster) as accountant:
        with pair.start(*TARGETS, *AT_ONCE, seconds=2400) as running:
            wait_until(lambda: steps_of(pair, "8k-1") >= 1, 1800, "the first step of 8k-1", running.text)
            running.kill()
        unlocked = pair.snakemake(*TARGETS, "--unlock")
        assert unlocked.returncode == 0, unlocked.stdout
        with pair.start(*TARGETS, *AT_ONCE, seconds=2400) as running:
            wait_until(lambda: saved(pair, "8k-2", 3), 1800, "the state of step 3", running.text)
            cluster.run("scancel", accountant.of("train_segment_wildcards_pair_8k-2")[0]["JobId"])
            assert running.wait(1800) == 0, running.text()
    return accountant


def run_folder(checkout: Checkout, segment: str) -> Path | None:
    return next(iter((checkout.folder / f"work/{SCALE}/runs").glob(f"{segment}-*")), None)


def steps_of(checkout: Checkout, segment: str) -> int:
    """Steps that a segment has logged so far."""
    folder = run_folder(checkout, segment)
    metrics = folder / "metrics.jsonl" if folder else None
    return len(metrics.read_text().splitlines()) if metrics and metrics.exists() else 0


def saved(checkout: Checkout, segment: str, step: int) -> bool:
    folder = run_folder(checkout, segment)
    return bool(folder and (folder / f"openrlhf/_actor/global_step{step}/complete.json").exists())


def test_every_rule_went_through_sbatch(accounts: Accountant, pair: Checkout) -> None:
    comments = " ".join(job.get("Comment", "") for job in accounts.jobs.values())
    alone = ["fetch_source", "extract_answers", "deduplicate", "decontaminate", "select_gradable", "summarise_curation"]
    alone += ["fetch_benchmark", "distill_base", "schedule_prompts", "preflight", "train_segment", "sample"]
    for rule in alone:
        assert f"rule_{rule}_wildcards" in comments, rule
    for group in ("grades", "reports"):
        assert f"rule_{group}" in comments, group
    for name in RESULTS:
        assert (pair.folder / f"results/{SCALE}/{name}").exists()


def test_training_had_two_nodes_and_a_gpu_of_each(accounts: Accountant, pair: Checkout) -> None:
    jobs = accounts.of("train_segment_wildcards_pair_8k-1")
    assert jobs
    for job in jobs:
        assert (job["NumNodes"], job["JOB_GRES"], job["Partition"]) == ("2", "gpu:a100:2", "gpu")
    folder = run_folder(pair, "8k-1")
    assert folder
    nodes = {path.stem.removeprefix("node-") for path in (folder / "logs/attempt-1").glob("node-*.log")}
    assert len(nodes) == 2
    # Ray names the actors of the other node by its address: the two halves of the batch were on two nodes
    driver = (folder / "logs/attempt-1/driver.log").read_text(errors="replace")
    assert re.search(r"\(PolicyModelActor pid=\d+, ip=127\.0\.1\.\d\)", driver)
    assert re.search(r"\(PolicyModelActor pid=\d+\)", driver)


def test_samples_had_a_gpu_each(accounts: Accountant) -> None:
    jobs = accounts.of("rule_sample_wildcards")
    assert len(jobs) == 4
    for job in jobs:
        assert (job["JobState"], job["NumNodes"], job["JOB_GRES"]) == ("COMPLETED", "1", "gpu:a100:1")


def test_small_jobs_had_no_gpu(accounts: Accountant) -> None:
    for rule in ("deduplicate", "grades", "reports", "distill_base"):
        assert accounts.of(f"rule_{rule}")
        assert all(job["JOB_GRES"] == "(null)" and job["Partition"] == "cpu" for job in accounts.of(f"rule_{rule}"))


def test_killed_snakemake_left_no_second_writer(accounts: Accountant, pair: Checkout) -> None:
    """The orphan trained to its end; a job that came after it found the segment finished."""
    orphan, *later = accounts.of("train_segment_wildcards_pair_8k-1")
    assert {job["JobState"] for job in (orphan, *later)} == {"COMPLETED"}
    assert all(job["StartTime"] >= orphan["EndTime"] for job in later)
    folder = run_folder(pair, "8k-1")
    assert folder
    assert len(list((folder / "logs").iterdir())) == 1, "OpenRLHF was started once"


def test_cancelled_segment_went_on_from_its_last_state(accounts: Accountant, pair: Checkout) -> None:
    first, second = accounts.of("train_segment_wildcards_pair_8k-2")
    assert (first["JobState"], second["JobState"]) == ("CANCELLED", "COMPLETED")
    assert "going on at step 3 of 4" in (pair.folder / f"logs/{SCALE}/train_segment/8k-2.log").read_text()


def test_no_step_is_lost_or_double(accounts: Accountant, pair: Checkout) -> None:
    with (pair.folder / f"results/{SCALE}/training.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]
    manifest = json.loads((pair.folder / f"work/{SCALE}/checkpoints/8k-2/checkpoint.json").read_text())
    assert (manifest["step"], manifest["segment"]) == (4, 2)
    with (pair.folder / f"results/{SCALE}/table.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2


def test_nothing_is_left_to_do(accounts: Accountant, pair: Checkout) -> None:
    again = pair.snakemake(*TARGETS)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout
