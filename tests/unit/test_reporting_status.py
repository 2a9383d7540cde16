"""`deepscaler status`: what it says of a run that has not begun, goes on, was stopped, or is over."""

import io
import json
import math
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deepscaler import dag
from deepscaler.cli import build
from deepscaler.errors import UserError
from deepscaler.reporting.compute.status import read_status, sparkline, status
from deepscaler.settings import load
from rich.console import Console
from typer.testing import CliRunner


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty work root."""
    monkeypatch.setenv("DEEPSCALER_WORK", str(tmp_path))
    load.site.cache_clear()
    yield tmp_path
    load.site.cache_clear()


def write_steps(work: Path, scale: str, segment: str, count: int, ago: float = 30.0, finished: bool = False) -> Path:
    """The first steps of a segment, of 250 s each, the last one written `ago` seconds before now."""
    piece = dag.segment(scale, segment)
    folder = work / scale / (f"checkpoints/{segment}" if finished else f"runs/{segment}-0123456789ab")
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    with (folder / "metrics.jsonl").open("w") as handle:
        for number in range(1, count + 1):
            row = {
                "step": piece.first + number,
                "total_step": piece.total_last - piece.last + piece.first + number,
                "stage": piece.stage,
                "segment": segment,
                "time": (now - timedelta(seconds=ago + 250 * (count - number))).isoformat(),
                "rollout/reward_mean": 0.46 + 0.001 * number,
                "rollout/response_length_mean": 5500.0 - 20 * number,
                "rollout/truncated_rate": 0.25,
                "timing/step_total": 250.0,
            }
            handle.write(json.dumps(row) + "\n")
    if finished:
        (folder / "checkpoint.json").write_text("{}")
    return folder


def shown(scale: str) -> str:
    console = Console(width=140, file=io.StringIO())
    status(scale=scale, console=console)
    return console.file.getvalue()


def test_nothing_there_yet(work: Path) -> None:
    text = shown("paper")
    assert "training has not begun; 8k-1 is the first of 25 segments" in text
    assert "0/1,040" in text
    assert "GPU-hours: 0 used of" in text


def test_a_run_under_way(work: Path) -> None:
    write_steps(work, "paper", "8k-1", 80, ago=20_000, finished=True)
    write_steps(work, "paper", "8k-2", 30)
    found = read_status("paper")
    stage = found.stages[0]
    assert (stage.done, stage.steps, stage.seconds, stage.measured) == (110, 1040, 250.0, True)
    assert stage.left == 930 * 250
    assert found.stages[1].measured is False
    assert found.gpu_hours == pytest.approx(110 * 250 / 3600 * 8)
    assert found.current is not None
    assert found.current.id == "8k-2"
    text = shown("paper")
    assert "stage 8k, step 110, segment 8k-2, last step 3" in text
    assert "110/1,040" in text
    assert "reward" in text
    assert "▁" in text
    assert "waiting in a queue" not in text


def test_silence_is_reported(work: Path) -> None:
    write_steps(work, "paper", "8k-1", 30, ago=7200)
    assert "last step 2 h 00 min ago (29 times a step: waiting in a queue, starting, or stopped?)" in shown("paper")


def test_findings_of_health_are_shown(work: Path) -> None:
    folder = write_steps(work, "paper", "8k-1", 30)
    row = {"step": 31, "total_step": 31, "stage": "8k", "segment": "8k-1", "kl": math.nan}
    with (folder / "metrics.jsonl").open("a") as handle:
        handle.write(json.dumps(row) + "\n")
    assert "unhealthy at step 31: kl is nan" in shown("paper")


def test_an_older_try_at_a_later_segment_is_left_out(work: Path) -> None:
    stale = write_steps(work, "paper", "8k-2", 40) / "metrics.jsonl"
    write_steps(work, "paper", "8k-1", 80, finished=True)
    os.utime(stale, (1_000_000_000, 1_000_000_000))
    assert read_status("paper").stages[0].done == 80


def test_the_end(work: Path) -> None:
    for segment in dag.segments("mini"):
        write_steps(work, "mini", segment.id, segment.last - segment.first, finished=True)
    assert "mini: training has finished (36 steps)" in shown("mini")
    assert "done" in shown("mini")
    assert "Left:" not in shown("mini")


def test_a_scale_that_does_not_train_is_refused(work: Path) -> None:
    with pytest.raises(UserError, match="does not train"):
        read_status("released")


def test_the_verb(work: Path) -> None:
    answer = CliRunner().invoke(build(), ["status", "--scale", "mini"])
    assert answer.exit_code == 0
    assert "not begun" in answer.output


def test_sparklines() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([5.0] * 4, 10) == "▄▄▄▄"
    assert sparkline([0, math.nan, 7], 10) == "▁!█"
    assert sparkline([math.inf], 10) == "!"
    assert len(sparkline([float(x) for x in range(1001)], 60)) <= 60
