"""A rehearsal on two nodes, wholly: preflight of both, a kill and a resume, hand-over, export, samples, grades, GO.

Then it is broken for real: weights that do not reach the sampler are a no go by name, and so is a killed job that
nobody starts again. What else can be wrong is tried on this run's records: tests/unit/test_reporting_rehearsal.py.
"""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import Checkout
from pair_run import add_scale

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]
HERE = Path(__file__).parent
SCALE, WHOLE = "tried", "whole"
LIMIT = 3000


def with_rehearsal(checkout: Checkout) -> Checkout:
    add_scale(checkout)
    config = checkout.folder / "config"
    for name, kind, source in (
        (WHOLE, "scales", "whole"),
        (SCALE, "scales", "scale"),
        (WHOLE, "recipes", "whole_recipe"),
        (SCALE, "recipes", "recipe"),
    ):
        shutil.copy(HERE / f"rehearsal/{source}.yaml", config / kind / f"{name}.yaml")
    return checkout


@pytest.fixture(scope="module")
def rehearsed(copy_checkout: Callable[[], Checkout]) -> Checkout:
    checkout = with_rehearsal(copy_checkout())
    done = checkout.snakemake(SCALE, "--jobs", "2", seconds=LIMIT)
    assert done.returncode == 0, done.stdout
    return checkout


def results(checkout: Checkout) -> Path:
    return checkout.folder / "results" / SCALE


def verdict_of(checkout: Checkout) -> tuple[str, list[str]]:
    record = json.loads((results(checkout) / "rehearsal.json").read_text())
    return record["verdict"], record["reasons"]


def test_it_ends_in_go(rehearsed: Checkout) -> None:
    assert verdict_of(rehearsed) == ("GO", [])
    assert (results(rehearsed) / "go.txt").read_text().startswith("GO: ")
    assert ">GO\n" in (results(rehearsed) / "report.html").read_text()


def test_every_path_was_gone(rehearsed: Checkout) -> None:
    with (results(rehearsed) / "checks.csv").open() as file:
        checks = {(row["check"], row["where"]): row["seen"] for row in csv.DictReader(file)}
    assert checks["kill and resume", "8k-1"] == "killed at step 1, resumed"
    assert checks["hand-over", "16k-1"] == "weights of 8k-1"
    assert checks["preflight", "8k"].startswith("2 ready: ")
    assert {"samples", "grades"} <= {check for check, where in checks if where == "deepscaler-16k"}
    phases = ("rollouts", "log-probabilities", "update", "sync", "save")
    assert {f"peak memory, {phase}" for phase in phases} <= {check for check, where in checks if where == "16k"}


def test_the_kill_was_one_lost_job(rehearsed: Checkout) -> None:
    log = (rehearsed.folder / f"logs/{SCALE}/train_segment/8k-1.log").read_text()
    assert "going on at step 1 of 2" in log
    attempts = [len(list(path.iterdir())) for path in sorted((work(rehearsed) / "runs").glob("*/logs"))]
    assert sorted(attempts) == [1, 2]


def test_nothing_is_left_to_do(rehearsed: Checkout) -> None:
    again = rehearsed.snakemake(SCALE)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout


def work(checkout: Checkout) -> Path:
    return checkout.folder / "work" / SCALE
