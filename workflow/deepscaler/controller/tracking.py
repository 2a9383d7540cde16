"""The trackers' files follow a run: what its jobs have recorded is written to them by a process in the background."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepscaler import settings
from deepscaler.controller.stale_locks import RUN
from deepscaler.files import appending
from deepscaler.reporting.tracking.track import folder
from deepscaler.text import printable

LOOK = 60.0
"""Seconds between looks for something new."""
LAST = 20.0
"""Seconds for which the end of a run waits; a process that takes longer goes on by itself."""
scales: list[str] = []
"""Those of the jobs of this run that train; none where the site names no tracker."""
written: dict[str, float] = {}
"""Scale → how new the newest record was when its files were begun, in seconds since 1970."""
writing: "dict[str, subprocess.Popen[bytes]]" = {}
"""Scale → the process that writes, or wrote, its files."""
looked = 0.0


def begin(workflow: Any) -> None:
    """Before the first job: which scales are these?"""
    tracking = settings.site().tracking
    if tracking and tracking.trackers:
        found = {job.wildcards_dict.get("scale") for job in workflow.dag.needrun_jobs()}
        scales[:] = sorted(scale for scale in found if scale and settings.load_scale(scale).training)


def look(now: float) -> None:
    """Write what is new, at most every minute and one process a scale; `now` of the monotonic clock."""
    global looked
    if scales and now - looked >= LOOK:
        looked = now
        for scale in scales:
            if not at_work(scale):
                start(scale)


def ended() -> Iterator[str]:
    """The run is at its end: write what is newer, and say where that failed."""
    until = time.monotonic() + LAST
    for scale in scales:
        wait(scale, until)
        if not at_work(scale):
            start(scale)
            wait(scale, until)
        if scale in writing and writing[scale].poll():
            yield f"deepscaler: the trackers of {scale} are behind: {last_line(scale)}"


def start(scale: str) -> None:
    """Write a scale's files where a record is newer than what was written; never raises: no tracker is worth a run."""
    with suppress(OSError):
        newest = newest_record(scale)
        if newest <= written.get(scale, 0.0):
            return
        log_of(scale).parent.mkdir(parents=True, exist_ok=True)
        with appending(log_of(scale)) as log:
            log.truncate(0)
            writing[scale] = subprocess.Popen(
                [sys.executable, "-c", "from deepscaler.cli import main; main()", "track", "--scale", scale],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # the next run waits for what has this one's name; a tracker is nothing to wait for
                env={name: value for name, value in os.environ.items() if name != RUN},
                start_new_session=True,
            )
        written[scale] = newest


def at_work(scale: str) -> bool:
    return scale in writing and writing[scale].poll() is None


def wait(scale: str, until: float) -> None:
    if scale in writing:
        with suppress(subprocess.TimeoutExpired):
            writing[scale].wait(max(0.0, until - time.monotonic()))


def newest_record(scale: str) -> float:
    """When a step, a checkpoint or a score was last recorded, in seconds since 1970; 0 where none was."""
    work = settings.run_root() / settings.site().work / scale
    scores = settings.run_root() / "results" / scale / "scores"
    found = [*work.glob("runs/*/metrics.jsonl"), *work.glob("checkpoints/*/checkpoint.json"), *scores.glob("*.json")]
    return max((path.stat().st_mtime for path in found), default=0.0)


def log_of(scale: str) -> Path:
    """What the newest process said."""
    return folder() / f"{scale}.log"


def last_line(scale: str) -> str:
    try:
        lines = log_of(scale).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return str(log_of(scale))
    return printable(lines[-1]) if lines else str(log_of(scale))
