"""The whole DAG through `--profile slurm` with the real engines, training on two nodes with Ray across them."""

import csv
import json
import re

import pytest
from checkout import Checkout
from pair_run import RESULTS, SCALE, TARGETS, Accountant, log_of, node_logs, run_folder, work

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]


def test_every_rule_went_through_sbatch(whole_run: Accountant, pair: Checkout) -> None:
    alone = ["fetch_source", "extract_answers", "fetch_benchmark", "distill_base", "schedule_prompts"]
    alone += ["preflight", "train_segment", "sample"]
    for rule in alone:
        assert whole_run.of(f"rule_{rule}_wildcards"), rule
    for group in ("curation", "grades", "reports"):
        assert whole_run.of(f"rule_{group}_"), group
    assert {job["JobState"] for job in whole_run.jobs.values() if "rule_" in job.get("Comment", "")} == {"COMPLETED"}
    for name in RESULTS:
        assert (pair.folder / f"results/{SCALE}/{name}").exists()


def test_training_had_two_nodes_and_a_gpu_of_each(whole_run: Accountant, pair: Checkout) -> None:
    jobs = whole_run.of("train_segment_wildcards_pair_8k")
    assert len(jobs) == 2
    for job in jobs:
        assert (job["NumNodes"], job["JOB_GRES"], job["Partition"]) == ("2", "gpu:a100:2", "gpu")
    assert len(node_logs(pair, "8k-1", 1)) == 2
    # Ray names the actors of the other node by its address: the two halves of the batch were on two nodes
    folder = run_folder(pair, "8k-1")
    assert folder
    driver = (folder / "logs/attempt-1/driver.log").read_text(errors="replace")
    assert re.search(r"\(PolicyModelActor pid=\d+, ip=127\.0\.1\.\d\)", driver)
    assert re.search(r"\(PolicyModelActor pid=\d+\)", driver)


def test_samples_had_a_gpu_each(whole_run: Accountant) -> None:
    jobs = whole_run.of("rule_sample_wildcards")
    assert len(jobs) == 4
    for job in jobs:
        assert (job["NumNodes"], job["JOB_GRES"]) == ("1", "gpu:a100:1")


def test_small_jobs_had_no_gpu(whole_run: Accountant) -> None:
    for rule in ("curation", "grades", "reports", "distill_base"):
        assert whole_run.of(f"rule_{rule}")
        assert all(job["JOB_GRES"] == "(null)" and job["Partition"] == "cpu" for job in whole_run.of(f"rule_{rule}"))


def test_the_chain_is_whole(whole_run: Accountant, pair: Checkout) -> None:
    with (pair.folder / f"results/{SCALE}/training.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]
    assert "starting at step 0 of 2" in log_of(pair, "8k-1")
    assert "starting at step 2 of 4" in log_of(pair, "8k-2")
    manifest = json.loads((work(pair) / "checkpoints/8k-2/checkpoint.json").read_text())
    assert (manifest["step"], manifest["segment"]) == (4, 2)
    with (pair.folder / f"results/{SCALE}/table.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2


def test_nothing_is_left_to_do(whole_run: Accountant, pair: Checkout) -> None:
    again = pair.snakemake(*TARGETS)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout
