"""`deepscaler status`: what it says of a run that has not begun, goes on, was stopped, or is over."""

import io
import json
import math
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deepscaler import dag
from deepscaler.cli import build
from deepscaler.errors import UserError
from deepscaler.reporting.compute import run_status
from deepscaler.reporting.compute.outlook import planned_step_seconds
from deepscaler.reporting.compute.run_status import read_status
from deepscaler.reporting.compute.status import status
from deepscaler.reporting.compute.status_screen import sparkline
from deepscaler.settings import load
from rich.console import Console
from terminal import end, start
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


def write_score(results: Path, system: str, suite: str, score: float) -> None:
    path = results / "scores" / f"{system}-{suite}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = {"pass_at_1": score, "standard_error": 8.1, "standard_error_within": 1.5, "total": 480}
    path.write_text(json.dumps({"system": system, "suite": suite, "benchmarks": {"aime-2024": entry}}))


def whole_run(work: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the paper's segments but the last have finished, and are scored but for the newest one."""
    monkeypatch.setattr(run_status.settings, "run_root", lambda: results.parents[1])
    write_score(results, "deepseek-r1-distill-qwen-1.5b", "table", 28.8)
    chain, wait, now = dag.segments("paper"), 900, time.time()
    later = [sum(250 * (s.last - s.first) + wait for s in chain[index + 1 :]) for index in range(len(chain))]
    for segment, ago in zip(chain, later, strict=True):
        last = segment is chain[-1]
        count = 10 if last else segment.last - segment.first
        folder = write_steps(work, "paper", segment.id, count, ago=100 if last else ago - 7400, finished=not last)
        for path in folder.iterdir():
            os.utime(path, (now - ago, now - ago))
        if not last and segment is not chain[-2]:
            names = {"8k-13": ("deepscaler-8k", "table"), "16k-6": ("deepscaler-16k", "table")}
            write_score(results, *names.get(segment.id, (segment.id, "curve")), 30 + segment.total_last / 200)


def lines_at(columns: int, **how: bool) -> list[str]:
    console = Console(width=columns, file=io.StringIO())
    status(scale="paper", console=console, **how)
    return console.file.getvalue().splitlines()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "checkout/results/paper"


def test_one_screen_of_a_long_run(work: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_run(work, results, monkeypatch)
    lines = lines_at(80)
    print("\n".join(lines))
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "deepscaler rollouts --scale paper --step 1730" in text
    assert re.search(r"24k-4 +1,680 +38\.4 ± 1\.5 +0\.48\d +5,\d{3} +25\.0%", text)
    assert re.search(r"24k-5 +1,720 +not scored yet", text)
    assert re.search(r"24k-6 +1,750 +in training", text)
    whole = "\n".join(lines_at(80, whole=True))
    assert all(re.search(rf"^{segment.id} ", whole, re.MULTILINE) for segment in dag.segments("paper"))
    assert re.search(r"^base +0 +28\.8 ± 1\.5", whole, re.MULTILINE)


def test_findings_do_not_take_the_screen(work: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_run(work, results, monkeypatch)
    for stage, step in (("24k-6", 211), ("24k-6", 212), ("24k-6", 213)):
        path = work / "paper/runs/24k-6-0123456789ab/metrics.jsonl"
        row = {"step": step, "total_step": 1520 + step, "stage": "24k", "segment": stage, "vllm_kl": math.nan}
        with path.open("a") as handle:
            handle.write(json.dumps(row) + "\n")
    lines = lines_at(80)
    assert len(lines) <= 24
    assert "24k, unhealthy at step 213: vllm_kl is nan: not a number" in lines
    assert sum("unhealthy" in line for line in lines) == 2
    assert sum("unhealthy" in line for line in lines_at(80, whole=True)) == 3


def test_the_time_left_has_queues_and_evaluation(work: Path) -> None:
    write_steps(work, "paper", "8k-1", 80, ago=30 * 250 + 30 + 1800, finished=True)
    write_steps(work, "paper", "8k-2", 30)
    found = read_status("paper")
    assert found.outlook.wait == pytest.approx(1800, abs=5)
    assert found.outlook.waits_left == 23 + 1, "the segments that have not begun, and the evaluation"
    assert 600 < found.outlook.evaluation < 7200
    assert found.stages[1].seconds == pytest.approx(
        planned_step_seconds("paper", "16k") * 250 / planned_step_seconds("paper", "8k")
    )
    assert found.outlook.seconds == pytest.approx(
        sum(stage.left for stage in found.stages) + found.outlook.evaluation + 24 * found.outlook.wait
    )
    assert "24 waits of 30 min" in shown("paper")


def test_a_watch_without_a_terminal_looks_once(work: Path) -> None:
    answer = CliRunner().invoke(build(), ["status", "--scale", "mini", "--watch"])
    assert answer.exit_code == 0
    assert answer.output.count("not begun") == 1


def test_a_watch_leaves_the_terminal_as_it_was(work: Path) -> None:
    """On the other screen, until Ctrl-C: nothing stays, and the cursor is back."""
    python = "import time, sys; from deepscaler.cli import main; sys.argv = ['deepscaler', *sys.argv[1:]]; main()"
    command = [sys.executable, "-c", python, "status", "--scale", "mini", "--watch"]
    pid, terminal = start(command, {**os.environ, "TERM": "xterm"})
    seen = b""
    try:
        while b"not begun" not in seen:
            seen += os.read(terminal, 65536)
        os.kill(pid, signal.SIGINT)
        with suppress(OSError):  # the end of a terminal whose program has left
            while more := os.read(terminal, 65536):
                seen += more
    finally:
        ended = end(pid, terminal)
    assert ended == 0
    assert seen.index(b"\x1b[?1049h") < seen.index(b"not begun") < seen.index(b"\x1b[?1049l")
    assert b"\x1b[?25h" in seen[seen.index(b"not begun") :]
    assert b"Traceback" not in seen
