"""The line that a training job prints for each step."""

import math
import time

from deepscaler.dag.chain import Segment
from deepscaler.text import duration
from deepscaler.training.watch.metrics import LENGTH, REWARD, SECONDS, TRUNCATED, Row

SMOOTHING = 0.8
"""Weight of the past in the step time that the remaining time is told from."""


class StepLines:
    """Lines for the steps of one launch. Times between rows count, so that saving and waiting are in the estimate."""

    def __init__(self, segment: Segment, start: int) -> None:
        self.segment, self.start = segment, start
        self.previous: float | None = None
        self.seconds: float | None = None

    def line(self, row: Row) -> str:
        now = time.monotonic()
        took = row.get(SECONDS, math.nan) if self.previous is None else now - self.previous
        self.previous = now
        self.seconds = took if self.seconds is None else SMOOTHING * self.seconds + (1 - SMOOTHING) * took
        left = self.seconds * (self.segment.last - row["step"])
        return (
            f"step {row['step']}/{self.segment.last} · reward {row.get(REWARD, math.nan):.3f}"
            f" · length {row.get(LENGTH, math.nan):,.0f} · truncated {100 * row.get(TRUNCATED, math.nan):.1f} %"
            f" · {took:.1f} s · left {duration(left)}"
        )
