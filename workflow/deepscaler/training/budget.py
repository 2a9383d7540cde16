"""Nothing is trained above the approved GPU-hours: `budget.approved_gpu_hours` of a scale.

Before the first step the whole plan must be approved. After it, each job must fit into what is left: hours are counted
from the steps that are on disk, so a run that is slower than planned stops at a checkpoint, not at a bill.
"""

from math import ceil, floor, log10
from pathlib import Path

from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.settings import dag
from deepscaler.training.cost.planned import TOTAL, planned_gpu_hours, segment_gpu_hours
from deepscaler.training.metrics import SECONDS, Row, read_rows


def require_approval(scale_name: str, segment: str, work: Path) -> None:
    """Raise UserError, naming the number to approve, where a segment may not start. `work` is {work}/{scale}."""
    approved = settings.scale(scale_name).budget.approved_gpu_hours
    planned = planned_gpu_hours(scale_name)[TOTAL, ""]
    used = gpu_hours_used(scale_name, work)
    if used == 0:
        if planned.expected > approved:
            raise refusal(
                scale_name,
                f"training is planned at {text(planned.expected)} GPU-hours ({text(planned.low)} to "
                f"{text(planned.high)}), and {text(approved)} are approved",
                planned.expected,
            )
        return
    needed = used + segment_gpu_hours(scale_name, segment)
    if needed > approved:
        raise refusal(
            scale_name,
            f"segment {segment} would bring the total to {text(needed)} GPU-hours ({text(used)} are used), "
            f"and {text(approved)} are approved",
            max(needed, planned.expected),
        )


def refusal(scale_name: str, what: str, hours: float) -> UserError:
    number = to_approve(hours)
    return UserError(
        what,
        f"config/scales/{scale_name}.yaml",
        f"look at `deepscaler plan --scale {scale_name}`, then set budget.approved_gpu_hours to {number:g}",
    )


def to_approve(hours: float) -> float:
    """The number to approve: the hours, rounded up to two digits."""
    if hours <= 0:
        return 0.0
    unit = 10.0 ** (floor(log10(hours)) - 1)
    return round(ceil(round(hours / unit, 9)) * unit, 6)


def gpu_hours_used(scale_name: str, work: Path) -> float:
    """GPU-hours of all training steps on disk, of finished segments and of one that is running or was killed."""
    hours = 0.0
    for row in training_rows(work):
        stage = str(row.get("stage"))
        if stage in {segment.stage for segment in dag.segments(scale_name)}:
            place = dag.layout(scale_name, stage)
            hours += float(row.get(SECONDS) or 0.0) / 3600 * place.nodes * place.gpus_per_node
    return hours


def training_rows(work: Path) -> list[Row]:
    """Every step under {work}/{scale}, once, in order; a checkpoint's word counts before that of work in progress."""
    latest: dict[int, Row] = {}
    for pattern in ("runs/**/metrics.jsonl", "checkpoints/*/metrics.jsonl"):
        for path in sorted(work.glob(pattern), key=lambda path: path.stat().st_mtime):
            latest |= {row["total_step"]: row for row in read_rows(path) if isinstance(row.get("total_step"), int)}
    return [latest[step] for step in sorted(latest)]


def text(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
