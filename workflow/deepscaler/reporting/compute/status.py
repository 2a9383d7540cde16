"""`deepscaler status`: the progress of a run, from the files that it writes, while it runs and after.

Neither the job nor the scheduler is queried: steps and their times are in metrics.jsonl, finished segments are
checkpoints. A run that has not begun is reported as such.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import TYPE_CHECKING

from deepscaler import dag, settings
from deepscaler.cost.planned import TOTAL, TRAINING, planned_gpu_hours
from deepscaler.dag.chain import Segment
from deepscaler.errors import UserError
from deepscaler.text import amount, duration, printable
from deepscaler.training.watch import metrics
from deepscaler.training.watch.budget import allowed, gpu_hours_used
from deepscaler.training.watch.health import HealthMonitor
from deepscaler.training.watch.metrics import Row
from deepscaler.training.watch.timeline import timeline

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

CURVES = (
    ("reward", metrics.REWARD, "{:.3f}"),
    ("length", metrics.LENGTH, "{:,.0f}"),
    ("truncated", metrics.TRUNCATED, "{:.1%}"),
    ("KL", metrics.KL, "{:.2g}"),
    ("vllm_kl", metrics.VLLM_KL, "{:.2g}"),
    ("entropy", metrics.ENTROPY, "{:.3f}"),
    ("grad norm", metrics.GRAD_NORM, "{:.3f}"),
    ("s/step", metrics.SECONDS, "{:.1f}"),
)
BARS = "▁▂▃▄▅▆▇█"
RECENT = 20
"""Steps from which the remaining time is estimated."""
QUIET = 5.0
"""Step times without a new row after which a run is called silent."""


@dataclass(frozen=True)
class StageStatus:
    name: str
    done: int
    steps: int
    seconds: float | None
    """Of a step, from the last ones; the plan's where there are none."""
    measured: bool

    @property
    def left(self) -> float | None:
        """Seconds."""
        return None if self.seconds is None else self.seconds * (self.steps - self.done)


@dataclass(frozen=True)
class Status:
    scale: str
    stages: list[StageStatus]
    segments: list[Segment]
    finished: set[str]
    """Segments whose checkpoint is there."""
    rows: list[Row]
    gpu_hours: float
    approved: float
    """Infinite where none need to be."""
    planned: float
    notes: list[str]

    @property
    def current(self) -> Segment | None:
        """The first segment without a checkpoint."""
        return next((segment for segment in self.segments if segment.id not in self.finished), None)

    @property
    def seconds_left(self) -> float | None:
        left = [stage.left for stage in self.stages]
        return None if any(value is None for value in left) else sum(value or 0.0 for value in left)


def read_status(scale_name: str) -> Status:
    """The status of a scale's training, from the files below {work}/{scale}."""
    scale = settings.load_scale(scale_name)
    if scale.training is None:
        raise UserError(f"scale {scale_name!r} does not train", f"config/scales/{scale_name}.yaml")
    work = settings.run_root() / settings.site().work / scale_name
    segments, rows = dag.segments(scale_name), timeline(scale_name, work)
    finished = {piece.id for piece in segments if (work / "checkpoints" / piece.id / "checkpoint.json").exists()}
    monitor = HealthMonitor(scale.training.health)
    findings = [str(finding) for row in rows for finding in monitor.observe(row)]
    names = [stage.name for stage in settings.load_recipe(scale.training.recipe).stages]
    return Status(
        scale=scale_name,
        stages=[stage_status(scale_name, name, rows) for name in names],
        segments=segments,
        finished=finished,
        rows=rows,
        gpu_hours=gpu_hours_used(scale_name, work),
        approved=allowed(scale_name),
        planned=planned_gpu_hours(scale_name)[TOTAL, ""].expected,
        notes=findings[-3:],
    )


def stage_status(scale_name: str, name: str, rows: list[Row]) -> StageStatus:
    mine = [row for row in rows if row.get("stage") == name]
    steps = dag.last_segment(scale_name, name).last
    recent = [float(row[metrics.SECONDS]) for row in mine[-RECENT:] if metrics.SECONDS in row]
    if recent:
        return StageStatus(name, len(mine), steps, fmean(recent), True)
    layout = dag.layout(scale_name, name)
    hours = planned_gpu_hours(scale_name)[TRAINING, name].expected / (layout.nodes * layout.gpus_per_node)
    return StageStatus(name, len(mine), steps, hours * 3600 / steps, False)


def status(*, scale: str, console: "Console") -> None:
    """Print the status of a scale's training."""
    console.print(render(read_status(scale), max(20, min(60, console.width - 40))))


def render(found: Status, width: int) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    lines = [Text(printable(headline(found)), style="bold"), stage_table(found), Text(ledger_line(found))]
    stage = found.rows[-1]["stage"] if found.rows else None
    if stage:
        rows = [row for row in found.rows if row["stage"] == stage]
        lines.append(curve_table(rows, printable(str(stage)), width))
    lines += [Text(printable(note), style="yellow") for note in found.notes]
    return Group(*lines)


def headline(found: Status) -> str:
    current = found.current
    if current is None:
        return f"{found.scale}: training has finished ({found.segments[-1].total_last:,} steps)"
    if not found.rows:
        return f"{found.scale}: training has not begun; {current.id} is the first of {len(found.segments)} segments"
    step = found.rows[-1]
    since = silence(step)
    line = f"{found.scale}: stage {step['stage']}, step {step['step']:,}, segment {step['segment']}"
    usual = next(stage.seconds for stage in found.stages if stage.name == step["stage"])
    if since is not None:
        line += f", last step {duration(since)} ago"
        if usual and since > max(QUIET * usual, 60):
            line += f" ({since / usual:.0f} times a step: waiting in a queue, starting, or stopped?)"
    return line


def silence(row: Row) -> float | None:
    """Seconds since a row was written."""
    try:
        written = datetime.fromisoformat(str(row.get("time")))
    except ValueError:
        return None
    return max(0.0, (datetime.now(UTC) - written).total_seconds())


def stage_table(found: Status) -> "RenderableType":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("stage", "", "steps", "s/step", "left"):
        table.add_column(name, justify="left" if name in ("stage", "") else "right")
    for stage in found.stages:
        seconds = "" if stage.seconds is None else f"{stage.seconds:,.1f}{'' if stage.measured else ' planned'}"
        left = "done" if stage.done >= stage.steps else duration(stage.left)
        table.add_row(stage.name, bar(stage.done / stage.steps), f"{stage.done:,}/{stage.steps:,}", seconds, left)
    return table


def ledger_line(found: Status) -> str:
    of = "" if math.isinf(found.approved) else f" of {amount(found.approved)} approved"
    line = f"GPU-hours: {amount(found.gpu_hours)} used{of}"
    line += f" (planned in all, with evaluation: {amount(found.planned)})"
    left = found.seconds_left
    if found.current is not None and left is not None:
        end = datetime.now(UTC) + timedelta(seconds=left)
        line += f"\nLeft: {duration(left)} of steps; without queues until {end:%Y-%m-%d %H:%M} UTC"
    return line


def curve_table(rows: list[Row], stage: str, width: int) -> "RenderableType":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left")
    for name in ("", f"stage {stage}, steps {rows[0]['step']:,} to {rows[-1]['step']:,}", "first", "last"):
        table.add_column(name, justify="right" if name in ("first", "last") else "left", no_wrap=True)
    for title, key, form in CURVES:
        values = [float(row[key]) for row in rows if isinstance(row.get(key), int | float)]
        if values:
            table.add_row(title, sparkline(values, width), form.format(values[0]), form.format(values[-1]))
    return table


def sparkline(values: list[float], width: int) -> str:
    """Bars from the smallest to the largest value, each the mean of an equal share of the steps; `!` is not finite."""
    size = max(1, math.ceil(len(values) / width))
    groups = [values[start : start + size] for start in range(0, len(values), size)]
    means = [fmean(group) if all(map(math.isfinite, group)) else math.nan for group in groups]
    finite = [mean for mean in means if math.isfinite(mean)]
    if not finite:
        return "!" * len(means)
    low, span = min(finite), max(finite) - min(finite)
    top = len(BARS) - 1
    return "".join(
        "!" if math.isnan(mean) else BARS[round((mean - low) / span * top) if span else top // 2] for mean in means
    )


def bar(share: float, width: int = 20) -> str:
    filled = round(min(1.0, share) * width)
    return "━" * filled + "─" * (width - filled)
