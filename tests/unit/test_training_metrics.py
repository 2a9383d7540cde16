"""Rows of training steps: written, read back, followed, cleared of repetitions."""

import json
import math
from pathlib import Path

import pytest
from deepscaler.errors import UserError
from deepscaler.files import write_jsonl
from deepscaler.training.watch.metrics import (
    TIMES,
    Follower,
    append_row,
    make_row,
    parse,
    read_rows,
    steps_of,
    times_of,
    without_times,
)


def row(step: int, reward: float = 0.5) -> dict[str, object]:
    return make_row(step, step, "8k", "8k-1", {"rollout/reward_mean": reward, "generated_samples": ["text", 1.0]})


def test_a_row_keeps_numbers_and_drops_text() -> None:
    made = make_row(3, 1043, "16k", "16k-1", {"kl": 1e-3, "generated_samples": ["x", 0.0], "flag": True})
    assert {key: made[key] for key in ("step", "total_step", "stage", "segment", "kl")} == {
        "step": 3,
        "total_step": 1043,
        "stage": "16k",
        "segment": "16k-1",
        "kl": 1e-3,
    }
    assert "generated_samples" not in made
    assert "flag" not in made


def test_the_order_of_the_keys_does_not_depend_on_upstreams() -> None:
    metrics = {"kl": 1.0, "actor_lr": 2.0, "rollout/reward_mean": 3.0}
    rows = [make_row(1, 1, "8k", "8k-1", dict(order)) for order in (metrics.items(), reversed(metrics.items()))]
    assert len({json.dumps(without_times(row)) for row in rows}) == 1


def test_values_that_are_not_finite_survive_the_file(tmp_path: Path) -> None:
    append_row(tmp_path / "m.jsonl", make_row(1, 1, "8k", "8k-1", {"kl": math.nan, "actor_grad_norm": math.inf}))
    [read] = read_rows(tmp_path / "m.jsonl")
    assert math.isnan(read["kl"])
    assert read["actor_grad_norm"] == math.inf


def test_an_unfinished_last_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    append_row(path, row(1))
    with path.open("a") as handle:
        handle.write(json.dumps(row(2))[:20])
    assert [read["step"] for read in read_rows(path)] == [1]
    assert parse("") is None
    assert parse("[1]") is None


def test_a_torn_row_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    append_row(path, row(1))
    with path.open("a") as handle:
        handle.write(json.dumps(row(2))[:20])
    append_row(path, row(2))
    append_row(path, row(3))
    assert [read["step"] for read in read_rows(path)] == [1, 2, 3]


def test_a_repeated_step_counts_as_it_was_last_run() -> None:
    rows = [row(1, 0.1), row(2, 0.2), row(2, 0.9), row(3, 0.3)]
    assert [kept["rollout/reward_mean"] for kept in steps_of(rows, 0, 3)] == [0.1, 0.9, 0.3]


def test_times_lie_beside_a_checkpoints_metrics_and_come_with_its_rows(tmp_path: Path) -> None:
    rows = [make_row(step, step, "8k", "8k-1", {"kl": 0.5, "timing/step_total": 2.0 + step}) for step in (1, 2)]
    write_jsonl(tmp_path / "metrics.jsonl", map(without_times, rows))
    write_jsonl(tmp_path / TIMES, map(times_of, rows))
    assert "tim" not in (tmp_path / "metrics.jsonl").read_text()
    assert list(read_rows(tmp_path / "metrics.jsonl")) == rows
    (tmp_path / TIMES).unlink()
    assert list(read_rows(tmp_path / "metrics.jsonl")) == [without_times(row) for row in rows]


def test_a_missing_step_is_an_error() -> None:
    with pytest.raises(UserError, match="metrics of step 2 are missing"):
        steps_of([row(1), row(3)], 0, 3)


def test_a_follower_gives_each_row_once_and_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    follower = Follower(path)
    assert follower.new_rows() == []
    append_row(path, row(1))
    text = json.dumps(row(2)) + "\n"
    with path.open("a") as handle:
        handle.write(text[:15])
    assert [read["step"] for read in follower.new_rows()] == [1]
    with path.open("a") as handle:
        handle.write(text[15:])
    assert [read["step"] for read in follower.new_rows()] == [2]
    assert follower.new_rows() == []


def test_a_follower_starts_where_an_earlier_attempt_ended(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    append_row(path, row(1))
    follower = Follower(path)
    append_row(path, row(2))
    assert [read["step"] for read in follower.new_rows()] == [2]
