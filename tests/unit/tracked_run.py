"""A made-up run whose last segment is at work, and the verb that writes its trackers' files."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from deepscaler import dag
from deepscaler.files import write_jsonl
from deepscaler.reporting.tracking.history import History, history_of
from deepscaler.training.watch import metrics

LAST = dag.segments("mini")[-1]
BEFORE = LAST.total_last - LAST.last + LAST.first
"""Steps before the last segment."""


def history(run: Path) -> History:
    return history_of("mini", run / "work/mini", run / "results/mini", run / "work/tracking")


def unfinish(run: Path, *rows: tuple[int, float]) -> None:
    """The last segment is at work: its steps so far as (step of the segment, reward), repeated ones too."""
    shutil.rmtree(run / f"work/mini/checkpoints/{LAST.id}", ignore_errors=True)
    place = run / f"work/mini/runs/{LAST.id}-0123456789ab/metrics.jsonl"
    place.parent.mkdir(parents=True, exist_ok=True)
    made = (
        metrics.make_row(step, BEFORE - LAST.first + step, LAST.stage, LAST.id, {metrics.REWARD: reward})
        for step, reward in rows
    )
    write_jsonl(place, made)


def name_trackers(run: Path, *trackers: str, **more: str) -> None:
    (run / "config/site.local.yaml").write_text(yaml.safe_dump({"tracking": {"trackers": list(trackers), **more}}))


def command(python: Path | str, *more: str) -> list[str]:
    return [str(python), "-c", "from deepscaler.cli import main; main()", "track", "--scale", "mini", *more]


def track(run: Path, python: Path | str, *more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(python, *more), cwd=run, capture_output=True, text=True, timeout=200, check=False)


def steps_of(values: list[list[Any]], name: str = "critic/rewards/mean") -> dict[int, float]:
    """Step → value of a metric in TensorBoard's events, each once."""
    found = [(step, value) for step, tag, value in values if tag == name]
    assert max(Counter(step for step, _ in found).values()) == 1, "a step stands twice"
    return dict(found)
