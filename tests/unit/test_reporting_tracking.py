"""A run in the trackers: one, by one name, each step once with the value that stands, scores on the same axis.

trackio and wandb are for tests/trackers/.
"""

import json
import multiprocessing
import os
import shutil
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import own_settings
import pytest
from deepscaler import dag, settings
from deepscaler.controller import tracking as follower
from deepscaler.errors import UserError
from deepscaler.files import read_jsonl, write_json
from deepscaler.reporting.tracking import names, tensorboard_file
from deepscaler.reporting.tracking.history import identity
from deepscaler.training.watch import metrics
from tracked_run import BEFORE, LAST, history, name_trackers, steps_of, track, unfinish
from tracker_readers import of_tensorboard

# what is written


def test_every_step_of_all_segments_is_there_once(run: Path) -> None:
    found = history(run)
    assert [point.step for point in found.points] == list(range(LAST.total_last + 1))  # 0: the base model's scores
    assert found.settled == LAST.total_last
    assert found.points[1].values["training/global_step"] == 1
    assert found.points[BEFORE + 1].values["training/stage_step"] == LAST.first + 1


def test_metrics_have_the_names_of_peers_and_no_two_share_one(run: Path) -> None:
    row = next(read_jsonl(run / "work/mini/checkpoints/8k-1/metrics.jsonl"))
    values = history(run).points[1].values
    assert values["critic/rewards/mean"] == row[metrics.REWARD]
    assert values["response_length/mean"] == row[metrics.LENGTH]
    assert values["response_length/clip_ratio"] == row[metrics.TRUNCATED]
    assert values["timing_s/step"] == row[metrics.SECONDS]
    assert len(set(names.PEERS.values())) == len(names.PEERS)
    assert names.peer("well_formed") == "openrlhf/well_formed"


def test_the_documents_list_is_the_map(root: Path) -> None:
    text = (root / "docs/tracking.md").read_text(encoding="utf-8")
    assert [f"`{ours}`" for ours in names.PEERS if f"| `{ours}` | `{names.PEERS[ours]}` |" not in text] == []


def test_scores_are_on_the_axis_of_steps(run: Path) -> None:
    content = json.loads((run / "results/mini/scores/deepscaler-8k-table.json").read_text())
    points = {point.step: point.values for point in history(run).points}
    first, entry = next(iter(content["benchmarks"].items()))
    assert {point.total_step for point in dag.curve("mini")} <= set(points)
    at = points[dag.last_segment("mini", "8k").total_last]
    assert at[f"val-core/{first}/acc/mean@16"] == entry["pass_at_1"] / 100
    assert at[f"val-aux/{first}/acc/standard_error"] == entry["standard_error"] / 100
    assert f"val-core/{first}/acc/mean@16" in points[0]
    assert "critic/rewards/mean" not in points[0]


def test_scores_of_a_checkpoint_that_was_trained_again_since_are_not_its_own(run: Path) -> None:
    scores = next((run / "results/mini/scores").glob("deepscaler-24k-*.json"))
    later = scores.stat().st_mtime + 1
    os.utime(run / f"work/mini/checkpoints/{LAST.id}/checkpoint.json", (later, later))
    points = {point.step: point.values for point in history(run).points}
    assert not [name for name in points[LAST.total_last] if name.startswith("val-")]
    assert [name for name in points[dag.last_segment("mini", "16k").total_last] if name.startswith("val-")]


def test_settings_seed_and_commit_are_attached(run: Path) -> None:
    config = history(run).config
    assert config["seed"] == 42
    assert config["settings"]["scale"]["training"]["recipe"] == "mini"
    assert {"commit", "settings_digest"} <= set(config)
    assert "alerts" not in str(config)


# one run


def test_the_run_has_one_name_in_the_world_through_segments_and_machines(run: Path, tmp_path: Path) -> None:
    unfinish(run, (LAST.first + 1, 0.5))
    first = history(run).id
    unfinish(run, (LAST.first + 1, 0.5), (LAST.first + 2, 0.5))
    moved = shutil.copytree(run, tmp_path / "elsewhere")
    assert history(moved).id == history(run).id == first
    shutil.rmtree(run / "work/tracking")  # another clone's, of the same settings
    assert history(run).id != first
    assert history(run).name == history(moved).name


def test_another_recipe_is_another_run(run: Path) -> None:
    first = history(run).id
    path = run / "work/mini/checkpoints/8k-1/checkpoint.json"
    write_json(path, json.loads(path.read_text()) | {"recipe_digest": "fedcba987654"})
    assert history(run).id != first


def test_processes_that_name_a_run_at_one_time_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(8) as pool:
        found = pool.starmap(identity, [(tmp_path / "runs/x", "mini-01234567")] * 32)
    assert len(set(found)) == 1


# TensorBoard, by its own reader


def test_a_step_that_was_lost_and_made_again_is_there_once_with_the_value_that_stands(run: Path) -> None:
    folder = run / "work/tracking/tensorboard"
    first = LAST.first
    unfinish(run, (first + 1, 0.1), (first + 2, 0.2), (first + 3, 0.3))
    tensorboard_file.write(history(run), folder)
    unfinish(run, (first + 1, 0.1), (first + 2, 0.2), (first + 3, 0.3), (first + 2, 0.7), (first + 3, 0.8))
    tensorboard_file.write(history(run), folder)
    ((name, values),) = of_tensorboard(folder).items()
    rewards = steps_of(values)
    assert name.startswith("mini-")
    assert [round(rewards[BEFORE + step], 6) for step in (1, 2, 3)] == [0.1, 0.7, 0.8]
    assert sorted(rewards) == list(range(1, BEFORE + 4))
    (settings,) = [value for _, tag, value in values if tag == "settings"]
    assert "seed: 42" in settings


def test_a_viewer_that_is_open_takes_the_new_values_up(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first, folder = LAST.first, run / "work/tracking/tensorboard"
    unfinish(run, (first + 1, 0.1), (first + 2, 0.2))
    viewer = EventAccumulator(str(tensorboard_file.write(history(run), folder).parent))
    viewer.Reload()
    unfinish(run, (first + 1, 0.1), (first + 2, 0.6), (first + 3, 0.7))
    tensorboard_file.write(history(run), folder)
    viewer.Reload()
    shown = {event.step: round(event.value, 6) for event in viewer.Scalars("critic/rewards/mean")}
    assert len(viewer.Scalars("critic/rewards/mean")) == len(shown)
    assert [shown[BEFORE + step] for step in (1, 2, 3)] == [0.1, 0.6, 0.7]


def test_what_is_the_same_is_not_written_again_and_what_a_kill_left_is_taken_away(run: Path) -> None:
    folder = run / "work/tracking/tensorboard"
    first = tensorboard_file.write(history(run), folder)
    whole = first.read_bytes()
    for left in (whole, whole[:-7], b""):  # killed while it was written
        first.write_bytes(left)
        (first.parent / ".events.part").write_bytes(b"cut off")
        assert tensorboard_file.write(history(run), folder) == first
        assert first.read_bytes() == whole
        assert list(first.parent.iterdir()) == [first]
    older = first.with_name("events.out.tfevents.0000000000.deepscaler")
    shutil.copy(first, older)  # killed before the older one was emptied
    tensorboard_file.write(history(run), folder)
    assert older.read_bytes() == b""


# the verb


def test_a_missing_package_is_one_line_with_the_command(run: Path) -> None:
    name_trackers(run, "tensorboard", "trackio", "wandb")
    told = track(run, sys.executable)
    if "trackio" in told.stdout:
        pytest.skip("this environment has the trackers")
    assert told.returncode == 1
    assert told.stderr == "deepscaler: trackio and wandb are not installed. Hint: make setup-tracking\n"
    assert list((run / "work/tracking/tensorboard").glob("*/events.*")), "those that are there are written"


def test_what_can_not_be_tracked_is_one_line(run: Path) -> None:
    for trackers, more, words in (
        ((), (), "no tracker is named"),
        (("tensorboard",), ("--sync",), "--sync is of wandb"),
    ):
        name_trackers(run, *trackers)
        told = track(run, sys.executable, *more)
        assert told.returncode == 2
        assert words in told.stderr
        assert told.stderr.count("\n") == 1
    for kind in ("checkpoints", "runs"):
        shutil.rmtree(run / "work/mini" / kind, ignore_errors=True)
    with pytest.raises(UserError, match="has made no step yet"):
        history(run)


# where Snakemake runs


@pytest.fixture
def followed(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of Snakemake that TensorBoard follows; its processes are those of this environment."""
    tracking = {"trackers": ["tensorboard"], "project": "deepscaler", "wandb": "offline"}
    name_trackers(run, "tensorboard")
    monkeypatch.setattr(settings, "site", lambda: own_settings.site(tracking=tracking))
    for name, value in (("scales", []), ("written", {}), ("writing", {}), ("looked", 0.0)):
        monkeypatch.setattr(follower, name, value)
    jobs = [SimpleNamespace(wildcards_dict={"scale": scale}) for scale in ("mini", "released", None)]
    follower.begin(SimpleNamespace(dag=SimpleNamespace(needrun_jobs=lambda: jobs)))
    assert follower.scales == ["mini"]
    return run


def test_files_follow_the_steps_one_process_at_a_time(followed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(follower.RUN, "a-token-of-this-run")
    unfinish(followed, (LAST.first + 1, 0.1))
    follower.look(follower.LOOK)
    first = follower.writing["mini"]
    assert b"a-token-of-this-run" not in Path(f"/proc/{first.pid}/environ").read_bytes()
    follower.look(2 * follower.LOOK)
    assert follower.writing["mini"] is first
    assert first.wait(60) == 0
    follower.look(3 * follower.LOOK)
    assert follower.writing["mini"] is first, "nothing is new"
    unfinish(followed, (LAST.first + 1, 0.1), (LAST.first + 2, 0.2))
    follower.look(4 * follower.LOOK - 1)
    assert follower.writing["mini"] is first, "it has just looked"
    assert list(follower.ended()) == []
    assert follower.writing["mini"].wait(60) == 0
    ((_, values),) = of_tensorboard(followed / "work/tracking/tensorboard").items()
    assert max(steps_of(values)) == BEFORE + 2
    assert stat.S_IMODE((followed / "work/tracking/mini.log").stat().st_mode) == 0o600


def test_a_tracker_that_fails_is_a_line_at_the_end_of_a_run(followed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "LAST", 60.0)
    (followed / "work/tracking").mkdir()
    (followed / "work/tracking/tensorboard").write_text("no folder")
    [told] = follower.ended()
    assert told.startswith("deepscaler: the trackers of mini are behind: deepscaler: tensorboard: ")
    assert "\n" not in told
    monkeypatch.setattr(sys, "executable", str(followed / "no-python"))
    follower.written.clear()
    follower.look(follower.LOOK)  # a process that can't be started


def test_without_trackers_nothing_is_looked_at(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "scales", [])
    follower.begin(None)
    follower.look(follower.LOOK)
    assert list(follower.ended()) == []
    assert not (run / "work/tracking").exists()
