"""The metrics of training steps: one JSON object a line, written by the trainer as each step ends.

    {"step": 7, "total_step": 7, "stage": "8k", "segment": "8k-2", "time": "2025-02-10T09:30:00+00:00",
     "rollout/reward_mean": 0.46, "rollout/response_length_mean": 5512.0, "actor_grad_norm": 0.11, …}

`step` counts from the stage's start, `total_step` from the base model. All other keys are OpenRLHF's own. A value that
is not finite stays what it is (`NaN`, `Infinity`, as Python's json writes and reads them): health checks test for it.

In a checkpoint the times of the rows (`time`, `timing/…`) are in a file of their own, so that equal training makes
equal files; whoever reads the rows gets both.
"""

import json
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from deepscaler.errors import UserError
from deepscaler.files import lines_of

Row = dict[str, Any]
"""One step."""

POSITION = ("step", "total_step", "stage", "segment")
"""The keys of a row that say which step it is."""
TIMES = "times.jsonl"
"""Beside a checkpoint's metrics: a row a step with the clock's time and the seconds of each part."""
CACHED = "grading_cached"
"""Share of verdicts that were known already: it depends on when a process started, so it is counted among the times."""

REWARD = "rollout/reward_mean"
LENGTH = "rollout/response_length_mean"
TRUNCATED = "rollout/truncated_rate"
SAMPLES = "rollout/num_samples"
KL = "kl"
POLICY_LOSS = "policy_loss"
GRAD_NORM = "actor_grad_norm"
ENTROPY = "entropy_loss"
VLLM_KL = "vllm_kl"
"""Divergence of the sampler's from the trainer's log-probabilities; there with importance correction only."""
SECONDS = "timing/step_total"


def make_row(step: int, total_step: int, stage: str, segment: str, metrics: dict[str, Any]) -> Row:
    """A row from what OpenRLHF logs at the end of a step; what is not a number (a sample's text) is left out.

    Upstream gathers the names in a set, whose order is another one in every process; here they are sorted.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    row: Row = {"step": step, "total_step": total_step, "stage": stage, "segment": segment, "time": now}
    for key, value in sorted(metrics.items()):
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        row[key] = value
    return row


def append_row(path: Path, row: Row) -> None:
    """Add one row; it is on disk when this returns, before the step's state is saved.

    A row before it that a kill or a full disk left unfinished gets a line of its own, which readers pass over.
    """
    with path.open("a+b") as handle:
        if has_unfinished_line(handle):
            handle.write(b"\n")
        handle.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        handle.flush()
        os.fsync(handle.fileno())


def has_unfinished_line(handle: BinaryIO) -> bool:
    """Whether a file that was opened to append has content that does not end with a line break."""
    if handle.tell() == 0:
        return False
    handle.seek(-1, os.SEEK_END)
    return handle.read(1) != b"\n"


def is_time(key: str) -> bool:
    return key in ("time", CACHED) or key.startswith("timing/")


def without_times(row: Row) -> Row:
    return {key: value for key, value in row.items() if not is_time(key)}


def times_of(row: Row) -> Row:
    return {key: value for key, value in row.items() if key == "step" or is_time(key)}


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file; a last line that a killed process left unfinished is passed over."""
    times = {row["step"]: row for row in whole_rows(path.with_name(TIMES))}
    for row in whole_rows(path):
        yield row | times.get(row["step"], {})


def whole_rows(path: Path) -> Iterator[Row]:
    if not path.exists():
        return
    for line in lines_of(path):
        row = parse(line)
        if row is not None:
            yield row


def parse(line: str | bytes) -> Row | None:
    """The row of one line, or None where the line is not a whole one."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def steps_of(rows: Iterable[Row], first: int, last: int) -> list[Row]:
    """One row a step, for steps first+1 … last: a step that was repeated after a kill counts as it was last run.

    Raises UserError where a step is missing.
    """
    latest = {row["step"]: row for row in rows if first < row["step"] <= last}
    missing = [step for step in range(first + 1, last + 1) if step not in latest]
    if missing:
        raise UserError(f"metrics of step {missing[0]} are missing ({len(missing)} of {last - first} steps)")
    return [latest[step] for step in range(first + 1, last + 1)]


class Follower:
    """Reads rows as they are appended to a file that may not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = path.stat().st_size if path.exists() else 0

    def new_rows(self) -> list[Row]:
        """The rows that were completed since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as handle:
            handle.seek(self.position)
            data = handle.read()
        whole, newline, _ = data.rpartition(b"\n")
        self.position += len(whole) + len(newline)
        rows = (parse(line) for line in whole.decode("utf-8", "replace").splitlines())
        return [row for row in rows if row is not None]
