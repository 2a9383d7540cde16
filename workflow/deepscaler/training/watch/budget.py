"""Nothing is trained or sampled on GPUs above the GPU-hours that someone approved (settings/approvals.py).

Before the first step the whole plan must be approved. After it, each job must fit into what is left: hours are counted
from the steps that are on disk, so a run slower than planned stops at a checkpoint before it exceeds the budget. A
scale on CPUs costs no GPU and needs no approval.
"""

from collections.abc import Iterator
from math import ceil, floor, inf, isinf, log10
from pathlib import Path

from deepscaler import dag, settings
from deepscaler.cost.planned import SAMPLING, TOTAL, planned_gpu_hours, segment_gpu_hours
from deepscaler.errors import UserError
from deepscaler.text import amount
from deepscaler.training.watch.metrics import SECONDS, Row, read_rows
from deepscaler.training.watch.timeline import timeline


def require_approval(scale_name: str, segment: str, work: Path) -> None:
    """Raise UserError, naming the number to approve, where a segment may not start. `work` is {work}/{scale}."""
    require_plan(scale_name, work)
    approved, planned = allowed(scale_name), planned_gpu_hours(scale_name)[TOTAL, ""]
    used = gpu_hours_used(scale_name, work)
    left = steps_left(scale_name, segment, work)
    needed = used + left * segment_gpu_hours(scale_name, segment)
    if used > 0 and left > 0 and needed > approved:
        raise refusal(
            scale_name,
            f"segment {segment} would bring the total to {amount(needed)} GPU-hours ({amount(used)} are used), "
            f"and {amount(approved)} are approved",
            max(needed, planned.expected),
        )


def allowed(scale_name: str) -> float:
    """The GPU-hours that a scale may use."""
    on_cpu = settings.load_scale(scale_name).device == "cpu"
    return inf if on_cpu else settings.approved_gpu_hours(scale_name)


def require_plan(scale_name: str, work: Path) -> None:
    """Raise UserError where nothing is approved, or nothing trained yet and the plan, sampling included, is not."""
    approved = allowed(scale_name)
    if isinf(approved):
        return
    planned = planned_gpu_hours(scale_name)[TOTAL, ""]
    if planned.expected > approved and (approved == 0 or gpu_hours_used(scale_name, work) == 0):
        raise refusal(
            scale_name,
            f"scale {scale_name!r} is planned at {amount(planned.expected)} GPU-hours ({amount(planned.low)} to "
            f"{amount(planned.high)}), and {amount(approved)} are approved",
            planned.expected,
        )


def require_sampling(scale_name: str, work: Path) -> None:
    """Raise UserError where a scale's samples may not be drawn. `work` is {work}/{scale}."""
    require_plan(scale_name, work)
    approved = allowed(scale_name)
    if isinf(approved):
        return
    used = gpu_hours_used(scale_name, work) if settings.load_scale(scale_name).training else 0.0
    needed = used + planned_gpu_hours(scale_name)[SAMPLING, ""].expected
    if needed > approved:
        raise refusal(
            scale_name,
            f"sampling would bring the total to {amount(needed)} GPU-hours ({amount(used)} are used), and "
            f"{amount(approved)} are approved",
            needed,
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
        None,
        f"look at `deepscaler plan --scale {scale_name}`, then {how_to_approve(scale_name, number)}",
    )


def how_to_approve(scale_name: str, hours: float) -> str:
    return f"`deepscaler approve --scale {scale_name} --gpu-hours {hours:g}`"


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
            seconds = float(row.get(SECONDS) or 0.0)
            if not 0 <= seconds < inf:
                raise UserError(
                    f"a step of {seconds} s: what was used can't be counted",
                    work,
                    "remove the metrics.jsonl that says so",
                )
            hours += seconds / 3600 * layout.nodes * layout.gpus_per_node
    return hours


def all_steps(work: Path) -> Iterator[Row]:
    with_run_folder = set()
    for path in sorted(work.glob("runs/*/metrics.jsonl")):
        for row in read_rows(path):
            with_run_folder.add(row.get("segment"))
            yield row
    for path in sorted(work.glob("checkpoints/*/metrics.jsonl")):
        yield from (row for row in read_rows(path) if row.get("segment") not in with_run_folder)
