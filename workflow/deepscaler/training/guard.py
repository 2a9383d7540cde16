"""What stands between a training job and a bill: the budget before it starts, the bounds of health while it runs."""

from collections.abc import Callable
from pathlib import Path

from deepscaler.settings import dag
from deepscaler.training import health
from deepscaler.training.budget import require_approval
from deepscaler.training.metrics import Row
from deepscaler.training.timeline import timeline


def guard(scale_name: str, segment_id: str, runs: Path) -> Callable[[Row], None]:
    """Refuse a segment that is not paid for (UserError); else the watcher of its steps.

    `runs` is {work}/{scale}/runs. The watcher knows the steps that the stage has made before.
    """
    work, segment = runs.parent, dag.segment(scale_name, segment_id)
    require_approval(scale_name, segment_id, work)
    before = [
        row for row in timeline(scale_name, work) if row.get("stage") == segment.stage and row["step"] <= segment.last
    ]
    return health.watch(scale_name, before)
