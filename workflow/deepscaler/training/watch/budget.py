"""Nothing is trained above the approved GPU-hours: `budget.approved_gpu_hours` of a scale.

Before the first step the whole plan must be approved. After it, each job must fit into what is left: hours are counted
from the steps that are on disk, so a run slower than planned stops at a checkpoint before it exceeds the budget.
"""

from collections.abc import Iterator
from math import ceil, floor, log10
from pathlib import Path

from deepscaler import dag, settings
from deepscaler.cost.planned import TOTAL, planned_gpu_hours, segment_gpu_hours
from deepscaler.errors import UserError
from deepscaler.text import amount
from deepscaler.training.watch.metrics import SECONDS, Row, read_rows
from deepscaler.training.watch.timeline import timeline


def require_approval(scale_name: str, segment: str, work: Path) -> None:
    """Raise UserError, naming the number to approve, where a segment may not start. `work` is {work}/{scale}."""
    approved = settings.load_scale(scale_name).budget.approved_gpu_hours
    planned = planned_gpu_hours(scale_name)[TOTAL, ""]
    used = gpu_hours_used(scale_name, work)
    left = steps_left(scale_name, segment, work)
    if used == 0 and planned.expected > approved:
        raise refusal(
            scale_name,
            f"training is planned at {amount(planned.expected)} GPU-hours ({amount(planned.low)} to "
            f"{amount(planned.high)}), and {amount(approved)} are approved",
            planned.expected,
        )
    needed = used + left * segment_gpu_hours(scale_name, segment)
    if used > 0 and left > 0 and needed > approved:
        raise refusal(
            scale_name,
            f"segment {segment} would bring the total to {amount(needed)} GPU-hours ({amount(used)} are used), "
            f"and {amount(approved)} are approved",
            max(needed, planned.expected),
        )


def steps_left(scale_name: str, segment_id: str, work: Path) -> float:
    """Share of a segment's steps that it has not made yet."""
    segment = dag.segment(scale_name, segment_id)
    made = sum(1 for row in timeline(scale_name, work) if row.get("segment") == segment_id)
    return 1 - min(made, segment.last - segment.first) / (segment.last - segment.first)


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
    """GPU-hours of every step that was made, repeated and abandoned ones too; starts and saving are not in the metrics.

    A checkpoint's own metrics count where the folder that it was trained in is gone.
    """
    stages = {segment.stage for segment in dag.segments(scale_name)}
    hours = 0.0
    for row in all_steps(work):
        if row.get("stage") in stages:
            layout = dag.layout(scale_name, str(row["stage"]))
            hours += float(row.get(SECONDS) or 0.0) / 3600 * layout.nodes * layout.gpus_per_node
    return hours


def all_steps(work: Path) -> Iterator[Row]:
    with_run_folder = set()
    for path in sorted(work.glob("runs/*/metrics.jsonl")):
        for row in read_rows(path):
            with_run_folder.add(row.get("segment"))
            yield row
    for path in sorted(work.glob("checkpoints/*/metrics.jsonl")):
        yield from (row for row in read_rows(path) if row.get("segment") not in with_run_folder)
