"""How far a run is, from the files that it writes, while it runs and after.

Neither the job nor the scheduler is queried: steps and their times are in metrics.jsonl, finished segments are
checkpoints, their scores are in results/{scale}/scores. A run that has not begun is reported as such.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean

from deepscaler import dag, settings
from deepscaler.cost.planned import TOTAL, planned_gpu_hours
from deepscaler.dag.chain import Segment
from deepscaler.errors import UserError
from deepscaler.evaluation.curve import CurveScore, measured
from deepscaler.reporting.compute.outlook import Outlook, outlook, pace, planned_step_seconds, written
from deepscaler.training.watch.budget import allowed, gpu_hours_used
from deepscaler.training.watch.health import HealthMonitor
from deepscaler.training.watch.metrics import Row
from deepscaler.training.watch.timeline import timeline


@dataclass(frozen=True)
class StageStatus:
    name: str
    done: int
    steps: int
    seconds: float
    """Of a step, saving included: from the last ones; where there are none, as planned and as the stages before were
    slower or faster than planned."""
    measured: bool

    @property
    def left(self) -> float:
        """Seconds."""
        return self.seconds * (self.steps - self.done)


@dataclass(frozen=True)
class CheckpointStatus:
    """A checkpoint, or the base model, with its score and the means over the segment's steps that there are."""

    name: str
    total_step: int
    scored: bool
    """Whether the curve has it: its score is there, or will be."""
    score: CurveScore | None
    rows: list[Row]


@dataclass(frozen=True)
class Status:
    scale: str
    stages: list[StageStatus]
    segments: list[Segment]
    finished: set[str]
    """Segments whose checkpoint is there."""
    rows: list[Row]
    checkpoints: list[CheckpointStatus]
    """The base and every segment that has begun."""
    gpu_hours: float
    approved: float
    """Infinite where none need to be."""
    planned: float
    notes: list[str]
    """What health found, in order of steps."""
    outlook: Outlook

    @property
    def current(self) -> Segment | None:
        """The first segment without a checkpoint."""
        return next((segment for segment in self.segments if segment.id not in self.finished), None)


def read_status(scale_name: str) -> Status:
    """The status of a scale's training, from the files below {work}/{scale} and results/{scale}."""
    scale = settings.load_scale(scale_name)
    if scale.training is None:
        raise UserError(f"scale {scale_name!r} does not train", f"config/scales/{scale_name}.yaml")
    work = settings.run_root() / settings.site().work / scale_name
    results = settings.run_root() / "results" / scale_name
    segments, rows = dag.segments(scale_name), timeline(scale_name, work)
    finished = {piece.id for piece in segments if (work / "checkpoints" / piece.id / "checkpoint.json").exists()}
    monitor = HealthMonitor(scale.training.health)
    stages = stages_of(scale_name, rows)
    return Status(
        scale=scale_name,
        stages=stages,
        segments=segments,
        finished=finished,
        rows=rows,
        checkpoints=checkpoints_of(scale_name, rows, measured(scale_name, results, work)),
        gpu_hours=gpu_hours_used(scale_name, work),
        approved=allowed(scale_name),
        planned=planned_gpu_hours(scale_name)[TOTAL, ""].expected,
        notes=[f"{row['stage']}, {finding}" for row in rows for finding in monitor.observe(row)],
        outlook=outlook(scale_name, sum(stage.left for stage in stages), rows, finished, results),
    )


def stages_of(scale_name: str, rows: list[Row]) -> list[StageStatus]:
    training = settings.load_scale(scale_name).training
    assert training is not None
    found: list[StageStatus] = []
    factor = 1.0
    for stage in settings.load_recipe(training.recipe).stages:
        mine = [row for row in rows if row.get("stage") == stage.name]
        steps = dag.last_segment(scale_name, stage.name).last
        seconds, planned = pace(mine), planned_step_seconds(scale_name, stage.name)
        if seconds is not None and planned > 0:
            factor = seconds / planned
        found.append(
            StageStatus(
                stage.name, len(mine), steps, factor * planned if seconds is None else seconds, seconds is not None
            )
        )
    return found


def checkpoints_of(scale_name: str, rows: list[Row], scores: list[CurveScore]) -> list[CheckpointStatus]:
    points = {point.total_step: point for point in dag.curve(scale_name)}
    known: dict[int, CurveScore] = {}
    for one in scores:
        known.setdefault(one.total_step, one)  # of several test sets the first
    found = [CheckpointStatus("base", 0, True, known.get(0), [])] if 0 in points else []
    for segment in dag.segments(scale_name):
        if own := [row for row in rows if row.get("segment") == segment.id]:
            total = segment.total_last
            found.append(CheckpointStatus(segment.id, total, total in points, known.get(total), own))
    return found


def mean_of(rows: list[Row], key: str) -> float | None:
    values = [float(row[key]) for row in rows if isinstance(row.get(key), int | float)]
    return fmean(values) if values else None


def silence(row: Row) -> float | None:
    """Seconds since a row was written."""
    when = written(row)
    return max(0.0, (datetime.now(UTC) - when).total_seconds()) if when else None
