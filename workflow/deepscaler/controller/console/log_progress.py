"""How far a job is, from the last lines of its log: a training job's steps, and every other's bar."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from deepscaler.job_log import plain_lines

TAIL_BYTES = 8 << 10
NUMBER = r"(\d[\d,.]{0,20})([kKMGTP]?)i?B?"
STEP = re.compile(r"^step (\d{1,9})/(\d{1,9}) · (.+)$")
"""deepscaler.training.watch.progress_line"""
BAR = re.compile(rf"^(?:([^:|]+): )?(?: *\d+%\|[^|]*\| )?{NUMBER}/{NUMBER} ?([\w-]*) ?\[([^\]]*)\]")
"""deepscaler.progress, and tqdm's own, which downloads print."""
FACTOR = {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
BYTES = ("B", "iB")
PACE = re.compile(r"^[\d.]+[kMG]i?B/s$")


@dataclass(frozen=True)
class Progress:
    """`done` of `total` of one activity of a job."""

    activity: str
    """What is counted: `step`, or a bar's description. Another one begins at nothing."""
    done: float
    total: float
    count: str
    """`7/12 steps`"""
    detail: str = ""
    """What else the line says: a reward, tokens a second."""

    @property
    def share(self) -> float:
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


def read_progress(log: Path) -> Progress | None:
    """The newest progress in a log, or None."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, os.fstat(handle.fileno()).st_size - TAIL_BYTES))
            text = handle.read().decode("utf-8", "replace")
    except OSError:
        return None
    return next((found for line in reversed(plain_lines(text)) if (found := progress_in(line))), None)


def progress_in(line: str) -> Progress | None:
    """The progress that one line of a log reports."""
    if step := STEP.match(line):
        done, total, rest = step.groups()
        said = [part for part in rest.split(" · ") if part.startswith("reward ")]
        return Progress("step", int(done), int(total), f"{done}/{total} steps", said[0] if said else "")
    bar = BAR.match(line)
    if not bar:
        return None
    activity, done, done_factor, total, total_factor, unit, timing = bar.groups()
    finished, whole = value(done, done_factor or total_factor), value(total, total_factor)
    if whole is None or finished is None or whole <= 0:
        return None
    rate = timing.split(", ", 1)[1] if ", " in timing else ""
    return Progress(activity or "", finished, whole, count_of(finished, whole, unit, total_factor), speed(rate))


def value(digits: str, factor: str) -> float | None:
    try:
        return float(digits.replace(",", "")) * FACTOR[factor]
    except ValueError:
        return None


def count_of(done: float, total: float, unit: str, factor: str) -> str:
    if factor or unit in BYTES or total >= 1e6:
        return f"{sized(done)}/{sized(total)}{'B' if unit in ('', *BYTES) else ''}"
    plural = "" if not unit else f" {unit}" if unit.endswith("s") else f" {unit}s"
    return f"{done:,.0f}/{total:,.0f}{plural}"


def sized(number: float) -> str:
    for factor, mark in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g}{mark}"
    return f"{number:.0f}"


def speed(rate: str) -> str:
    """The most telling part of a bar's rate: a postfix where it has one (`11,381 tokens/s`), else bytes a second."""
    parts = rate.split(", ", 1)
    if len(parts) == 2:
        return parts[1].strip()
    return parts[0].strip() if PACE.match(parts[0].strip()) else ""
