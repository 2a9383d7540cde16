"""A run in trackio and wandb as in TensorBoard: one, each step once with the value that stands, whatever is killed."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from deepscaler import dag
from deepscaler.files import read_jsonl, write_jsonl
from deepscaler.training.watch import metrics
from tracked_run import BEFORE, LAST, command, name_trackers, steps_of, track, unfinish
from wandb_server import wandb_server

OWN = ("_timestamp", "_step", "_runtime")
"""What wandb adds to each row."""
ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-tracking"
PYTHON = ENVIRONMENT / "bin/python"
READERS = Path(__file__).resolve().parents[1] / "unit/tracker_readers.py"


@pytest.fixture(autouse=True)
def needs_trackers() -> None:
    if not (ENVIRONMENT / "installed").exists():
        pytest.skip("trackio and wandb are not installed (make setup-tracking)")


def read_back(run: Path) -> dict[str, Any]:
    told = subprocess.run(
        [str(PYTHON), str(READERS), str(run / "work/tracking")], capture_output=True, text=True, check=True, timeout=100
    )
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def test_all_three_say_the_same_and_again_after_a_step_was_made_again(run: Path) -> None:
    name_trackers(run, "tensorboard", "trackio", "wandb")
    first = LAST.first
    unfinish(run, (first + 1, 0.1), (first + 2, 0.2), (first + 3, 0.3))
    assert track(run, PYTHON).returncode == 0
    unfinish(run, (first + 1, 0.1), (first + 2, 0.7))  # a state before: one step is not there again yet
    told = track(run, PYTHON)
    assert told.returncode == 0, told.stderr
    found = read_back(run)
    check(found, {1: 0.1, 2: 0.7}, settled=BEFORE)
    (name,) = found["trackio"]
    assert found["trackio"][name]["config"]["seed"] == 42
    (wandb,) = found["wandb"].values()
    assert (wandb["id"], wandb["project"]) == (name, "deepscaler")
    assert wandb["config"]["settings"]["scale"]["name"] == "mini"
    assert "commit" in wandb["config"]
    assert ["*", "training/global_step"] in wandb["axes"]


def check(found: dict[str, Any], rewards: dict[int, float], settled: int) -> None:
    """All trackers hold one run, each step once; `rewards` of the last segment's steps; wandb what is settled."""
    ((_, board),) = found["tensorboard"].items()
    ((_, trackio),) = found["trackio"].items()
    ((_, wandb),) = found["wandb"].items()
    steps = sorted({step for step, _, _ in board})
    assert steps == list(range(BEFORE + max(rewards, default=0) + 1))
    logged = [row["step"] for row in trackio["logs"]]
    assert sorted(logged) == steps
    values = {row["step"]: row for row in trackio["logs"]}
    shown = steps_of(board)
    for step, reward in rewards.items():
        assert values[BEFORE + step]["critic/rewards/mean"] == reward
        assert shown[BEFORE + step] == pytest.approx(reward)
    assert [number for number, _ in wandb["history"]] == list(range(len(wandb["history"])))
    rows = [items for _, items in wandb["history"]]
    assert [row["training/global_step"] for row in rows if "training/stage_step" in row] == list(range(1, settled + 1))
    for step in range(settled + 1):
        own = {key: value for key, value in values[step].items() if key not in ("step", "timestamp", "log_id", "id")}
        logged = [(key, value) for row in rows if row["training/global_step"] == step for key, value in row.items()]
        assert {key: value for key, value in logged if key[0] != "_"} == own, step
        assert max(Counter(key for key, _ in logged if key not in ("training/global_step", *OWN)).values()) == 1, step
    assert any(name.startswith("val-core/") for row in rows for name in row)


def test_killed_in_the_middle_and_run_again_nothing_is_there_twice(run: Path) -> None:
    name_trackers(run, "tensorboard", "trackio", "wandb")
    chance, first = random.Random(7), LAST.first
    for attempt in range(4):
        unfinish(run, (first + 1, 0.1), (first + 2, 0.4 + attempt / 10))
        process = subprocess.Popen(
            command(PYTHON), cwd=run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        time.sleep(chance.uniform(0.3, 4))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    told = track(run, PYTHON)
    assert told.returncode == 0, told.stderr
    check(read_back(run), {1: 0.1, 2: 0.7}, settled=BEFORE)
    assert not list((run / "work/tracking").rglob("*.part"))


def test_two_at_one_time_write_one_run(run: Path) -> None:
    name_trackers(run, "tensorboard", "trackio", "wandb")
    unfinish(run, (LAST.first + 1, 0.1))
    processes = [subprocess.Popen(command(PYTHON), cwd=run, stdout=subprocess.DEVNULL) for _ in "ab"]
    assert [process.wait(150) for process in processes] == [0, 0]
    check(read_back(run), {1: 0.1}, settled=BEFORE)


def test_wandbs_file_names_no_person_and_no_secret_and_no_shells_variable_changes_it(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_trackers(run, "wandb", project="mine")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef0123456789abcdef01234567")
    monkeypatch.setenv("WANDB_RUN_ID", "of-another")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_PROJECT", "of-another")
    assert track(run, PYTHON).returncode == 0
    (wandb,) = read_back(run)["wandb"].values()
    assert wandb["project"] == "mine"
    assert wandb["id"].startswith("mini-")
    kept = b"".join(path.read_bytes() for path in (run / "work/tracking").rglob("*") if path.is_file())
    assert b"0123456789abcdef0123456789abcdef" not in kept
    assert wandb["host"] == ""
    assert str(run).encode() not in kept


def test_the_upload_needs_a_key_and_says_so_in_one_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name_trackers(run, "wandb")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(run))
    told = track(run, PYTHON, "--sync")
    assert told.returncode == 1
    assert told.stderr.count("\n") == 1
    assert "wandb sync failed" in told.stderr


def test_uploads_add_to_one_run_with_each_step_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef0123456789abcdef01234567")
    monkeypatch.setenv("HOME", str(run))
    finished = (run / f"work/mini/checkpoints/{LAST.id}").rename(run / "later")
    (scores,) = (run / "results/mini/scores").glob("deepscaler-16k-*.json")
    scores = scores.rename(run / "score-that-comes-later")
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        name_trackers(run, "wandb")
        assert track(run, PYTHON).returncode == 0
        assert server.lines == {}
        told = track(run, PYTHON, "--sync")
        assert told.returncode == 0, told.stderr
        ((name, first),) = server.lines.items()
        assert steps_in(server.history(name)) == list(range(1, BEFORE + 1))
        name_trackers(run, "wandb", wandb="online")  # a segment and a score later, the upload comes by itself
        finished.rename(run / f"work/mini/checkpoints/{LAST.id}")
        scores.rename(run / "results/mini/scores/deepscaler-16k-table.json")
        before = dict(first)
        assert track(run, PYTHON).returncode == 0
        assert list(server.lines) == list(server.configs) == [name]
        rows = server.history(name)
        assert server.lines[name].items() >= before.items(), "what was uploaded stays"
        assert steps_in(rows) == list(range(1, LAST.total_last + 1))
        scored = [row["training/global_step"] for row in rows if "training/stage_step" not in row]
        assert sorted(scored) == sorted({point.total_step for point in dag.curve("mini")})
        assert [row["_step"] for row in rows] == list(range(len(rows)))
        assert server.configs[name]["seed"]["value"] == 42
        asked = len(server.operations)
        assert "uploaded before" in track(run, PYTHON).stdout
        assert len(server.operations) == asked


def steps_in(rows: list[dict[str, Any]]) -> list[int]:
    return [row["training/global_step"] for row in rows if "training/stage_step" in row]


def test_a_finished_step_that_is_trained_again_to_another_value_begins_another_run_of_wandb(run: Path) -> None:
    name_trackers(run, "wandb", "trackio")
    assert track(run, PYTHON).returncode == 0
    path = run / f"work/mini/checkpoints/{LAST.id}/metrics.jsonl"
    rows = list(read_jsonl(path))
    write_jsonl(path, [*rows[:-1], rows[-1] | {metrics.REWARD: 0.125}])
    for _ in "ab":
        assert track(run, PYTHON).returncode == 0
    found = read_back(run)
    (name,) = found["trackio"]
    assert list(found["wandb"]) == [name, f"{name}-2"]
    first, again = (steps_in([row for _, row in one["history"]]) for one in found["wandb"].values())
    assert first == again == list(range(1, LAST.total_last + 1))


def test_another_environment_hands_over(run: Path) -> None:
    name_trackers(run, "tensorboard", "trackio")
    (run / ".venv-tracking").symlink_to(ENVIRONMENT)
    told = track(run, sys.executable)
    assert told.returncode == 0, told.stderr
    assert "trackio: " in told.stdout


def test_a_tracker_that_fails_takes_no_other_along(run: Path) -> None:
    name_trackers(run, "trackio", "wandb", "tensorboard")
    (run / "work/tracking").mkdir()
    (run / "work/tracking/trackio").write_text("no folder")
    told = track(run, PYTHON)
    assert told.returncode == 1
    assert told.stderr.startswith("deepscaler: trackio: ")
    assert told.stderr.count("\n") == 1
    (run / "work/tracking/trackio").unlink()
    assert [len(found) for found in read_back(run).values()] == [1, 0, 1]


def test_values_that_are_no_numbers_stay_what_they_are(run: Path) -> None:
    """They are what a run that diverges is seen by."""
    name_trackers(run, "tensorboard", "trackio")
    unfinish(run, (LAST.first + 1, float("nan")), (LAST.first + 2, float("inf")))
    for _ in "ab":
        assert track(run, PYTHON).returncode == 0
    found = read_back(run)
    ((_, board),) = found["tensorboard"].items()
    shown = steps_of(board)
    assert math.isnan(shown[BEFORE + 1])
    assert math.isinf(shown[BEFORE + 2])
    ((_, trackio),) = found["trackio"].items()
    logged = {row["step"]: float(row.get("critic/rewards/mean", 0)) for row in trackio["logs"]}
    assert len(logged) == len(trackio["logs"])
    assert math.isnan(logged[BEFORE + 1])
    assert math.isinf(logged[BEFORE + 2])
