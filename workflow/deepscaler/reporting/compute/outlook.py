"""The time that a run still takes: its steps at the pace so far, the waits between its jobs, and the last evaluation.

A wait is what passed between the last step of a job and the first of the next: saving and checking the checkpoint, the
scheduler's queue, starting. Steps on disk say how long it was, so that no scheduler is asked. A stage that has not run
takes the plan's hours, times by what the stages so far were slower or faster than theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from deepscaler import dag, settings
from deepscaler.cost.estimate import estimate
from deepscaler.cost.planned import SAMPLING, TRAINING, planned_gpu_hours
from deepscaler.cost.workload import case_of
from deepscaler.dag.chain import Segment
from deepscaler.training.watch import metrics
from deepscaler.training.watch.metrics import Row

RECENT = 20
"""Steps from which the pace is taken."""
QUIET = 5.0
"""Step times without a new row after which a run is called silent: what is longer is no step."""


@dataclass(frozen=True)
class Outlook:
    """Seconds that are left."""

    steps: float
    evaluation: float
    """Of the last checkpoint on the table's test sets; the others' answers are drawn meanwhile."""
    wait: float | None
    """Of a job, as seen so far; None where none has been seen."""
    waits_left: int

    @property
    def seconds(self) -> float:
        return self.steps + self.evaluation + self.waits_left * (self.wait or 0.0)


def outlook(scale: str, steps: float, rows: Sequence[Row], finished: set[str], results: Path) -> Outlook:
    """`steps`: seconds of the steps that are left; `finished`: segments whose checkpoint is there."""
    chain = dag.segments(scale)
    begun = {str(row["segment"]) for row in rows} | finished
    seen = waits(rows)
    evaluated = (results / "scores" / f"{last_system(scale, chain[-1])}-table.json").exists() if chain else True
    return Outlook(
        steps=steps,
        evaluation=0.0 if evaluated and chain[-1].id in finished else evaluation_seconds(scale, chain[-1]),
        wait=fmean(seen) if seen else None,
        waits_left=sum(piece.id not in begun for piece in chain) + 1,
    )


def waits(rows: Sequence[Row]) -> list[float]:
    """Seconds between the last step of each segment and the start of the next one's first."""
    found = []
    for before, after in pairwise(rows):
        ended, began = written(before), written(after)
        if before["segment"] != after["segment"] and ended and began:
            passed = (began - ended).total_seconds() - seconds_of(after)
            found.append(max(0.0, passed))
    return found


def pace(rows: Sequence[Row]) -> float | None:
    """Seconds from step to step of a stage's last steps, saving included; of a stage that has just begun, of a step."""
    recent = rows[-RECENT:]
    usual = [seconds_of(row) for row in recent if metrics.SECONDS in row]
    if not usual:
        return None
    limit = QUIET * fmean(usual)
    gaps = []
    for before, after in pairwise(recent):
        ended, began = written(before), written(after)
        if ended and began and before["segment"] == after["segment"]:
            gaps.append((began - ended).total_seconds())
    steady = [gap for gap in gaps if 0 < gap <= limit]
    return fmean(steady) if steady else fmean(usual)


def seconds_of(row: Row) -> float:
    return float(row.get(metrics.SECONDS) or 0.0)


def written(row: Row) -> datetime | None:
    """When a row was."""
    try:
        return datetime.fromisoformat(str(row.get("time")))
    except ValueError:
        return None


def planned_step_seconds(scale: str, stage: str) -> float:
    """Of a stage by the plan, starting and saving included."""
    layout, steps = dag.layout(scale, stage), dag.last_segment(scale, stage).last
    return planned_gpu_hours(scale)[TRAINING, stage].expected / (layout.nodes * layout.gpus_per_node) * 3600 / steps


def evaluation_seconds(scale: str, last: Segment) -> float:
    """Of the last checkpoint's answers, its shards side by side, by the plan."""
    system = last_system(scale, last)
    if settings.load_scale(scale).device == "cpu":
        return planned_gpu_hours(scale)[SAMPLING, ""].expected * 3600 / max(1, len(dag.scored(scale)))
    priced = estimate(case_of(scale)).samplings
    return max((one.hours.expected * 3600 for one in priced if one.work.system == system), default=0.0)


def last_system(scale: str, last: Segment) -> str:
    """The name under which the last checkpoint is evaluated."""
    return next((name for name in dag.evaluated(scale) if dag.checkpoint_of(scale, name) == last.id), last.id)
