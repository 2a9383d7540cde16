"""What a training job tells people: a stage's begin and end, steps that do not come, a disk that gets full."""

import functools
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from statistics import median
from typing import Any

from deepscaler import dag
from deepscaler.alerts import events
from deepscaler.dag.chain import Segment
from deepscaler.settings import site
from deepscaler.text import duration
from deepscaler.training.readiness.node import folder_bytes
from deepscaler.training.run.run_folder import RunFolder

USUAL = 10
"""Steps whose median is the usual time."""
FEWEST = 3
"""Steps of this attempt, before which nothing is usual: the first ones warm up."""
LATE = 3.0
"""No step for this many times the usual is told."""
SHORTEST = 60.0
"""Seconds that are never late."""
STATE_OF_WEIGHTS = 7
"""A state by its weights in 2 bytes, before there is one: with master weights and two moments in 4 bytes each."""


def harmless(look: Callable[..., None]) -> Callable[..., None]:
    """Looks where someone is to be told, and never ends the run: states come and go while their sizes are read."""

    @functools.wraps(look)
    def suppressed(*arguments: Any, **named: Any) -> None:
        if site().alerts:
            with suppress(OSError):
                look(*arguments, **named)

    return suppressed


class SegmentAlerts:
    """Alerts of one attempt at a segment."""

    def __init__(self, scale_name: str, segment: Segment, folder: RunFolder, attempt: str) -> None:
        self.scale_name, self.segment, self.folder, self.attempt = scale_name, segment, folder, attempt
        self.last = time.monotonic()
        self.seconds: list[float] = []
        self.step: int | None = None
        self.told = False

    @harmless
    def begun(self) -> None:
        if self.segment.starts_stage:
            self.tell(f"begun-{self.segment.stage}-{self.digest()}", f"stage {self.segment.stage} has begun")
        self.check_disk()

    @harmless
    def on_step(self, step: int, now: float) -> None:
        """A step has come, at `now` of the monotonic clock in seconds."""
        if self.step is not None:
            self.seconds.append(now - self.last)
        self.step, self.last, self.told = step, now, False
        self.check_disk()

    @harmless
    def look(self, now: float) -> None:
        """Is the next step late?"""
        if self.told or len(self.seconds) < FEWEST:
            return
        usual = median(self.seconds[-USUAL:])
        if now - self.last > max(LATE * usual, SHORTEST):
            self.told = True
            text = f"none for {duration(now - self.last)} after step {self.step}; a step takes {duration(usual)}"
            self.tell(f"late-{self.segment.id}-{self.digest()}-{self.attempt}-{self.step}", "no step", text)

    def check_disk(self) -> None:
        """Is there room for one more state and the weights, which the segment writes before it removes older ones?"""
        needed = needed_bytes(self.folder)
        free = shutil.disk_usage(self.folder.path).free
        if free < needed:
            text = f"{free / 1e9:.1f} GB free at {self.folder.path}, a state and weights take {needed / 1e9:.1f}"
            self.tell(f"disk-{self.segment.id}-{self.digest()}-{self.attempt}", "the disk is nearly full", text)

    def digest(self) -> str:
        return dag.training_digest(self.scale_name, self.segment.id)[:8]

    def tell(self, name: str, title: str, text: str = "") -> None:
        events.from_job(self.scale_name, name, title, text and f"segment {self.segment.id}: {text}")


def stage_done(scale_name: str, segment: Segment) -> None:
    """Told once the stage's last checkpoint is in place."""
    pieces = [other for other in dag.segments(scale_name) if other.stage == segment.stage]
    if segment == pieces[-1]:
        name = f"done-{segment.stage}-{dag.training_digest(scale_name, segment.id)[:8]}"
        events.from_job(scale_name, name, f"stage {segment.stage} is done", f"{segment.total_last} steps in all")


def needed_bytes(folder: RunFolder) -> int:
    """Bytes of one more state and of the weights."""
    weights = sum(path.stat().st_size for path in folder.start.glob("*.safetensors"))
    states = [path for path in (folder.states / "_actor").glob("global_step*") if path.is_dir()]
    state = max(map(folder_bytes, states), default=STATE_OF_WEIGHTS * weights)
    return state + weights
