"""The plan counts the jobs that the workflow has."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from deepscaler.cost.estimate import estimate
from deepscaler.cost.processor import estimate_processor
from deepscaler.cost.workload import case_of


def workflow_jobs(root: Path, work: Path, target: str) -> dict[str, int]:
    """Rule → jobs of a dry run in which nothing is there yet."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--cores", "1", target]
    environment = {**os.environ, "DEEPSCALER_WORK": str(work)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    table = (done.stdout + done.stderr).split("Job stats:")[-1]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scale", ["mini", "mini-lora"])
def test_jobs_of_the_miniature(root: Path, tmp_path: Path, scale: str) -> None:
    found = {rule: jobs for rule, jobs in workflow_jobs(root, tmp_path, scale).items() if rule not in ("total", scale)}
    planned: Counter[str] = Counter()
    for entry in estimate_processor(scale).rules:
        planned[entry.rule] += entry.jobs
    assert dict(planned) == found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scale", ["paper", "one-gpu-80gb", "one-gpu-24gb"])
def test_jobs_on_gpus(root: Path, tmp_path: Path, scale: str) -> None:
    found = workflow_jobs(root, tmp_path, scale)
    price = estimate(case_of(scale))
    assert sum(stage.work.jobs for stage in price.stages) == found.get("train_segment", 0)
    assert sum(sampling.work.jobs for sampling in price.samplings) == found["sample"]
