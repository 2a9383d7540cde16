"""What stands between a training job and a bill: the budget before it starts, the bounds of health while it runs.

A run that was stopped for its health stays stopped when its job is handed in again, as schedulers and Snakemake do with
jobs that fail: only other bounds or another recipe let it go on.
"""

import json
from collections.abc import Callable
from pathlib import Path

from deepscaler import dag, settings
from deepscaler.errors import JobError, UserError
from deepscaler.files import digest_of, write_json
from deepscaler.training.watch.budget import require_approval
from deepscaler.training.watch.health import Finding, HealthMonitor
from deepscaler.training.watch.metrics import Row
from deepscaler.training.watch.timeline import timeline


def guard(scale_name: str, segment_id: str, runs: Path, say: Callable[[str], None] = print) -> Callable[[Row], None]:
    """The watcher of a segment's steps, which raises JobError at the first that breaks a bound.

    `runs` is {work}/{scale}/runs. The watcher knows the steps that the stage has made before. Raises UserError where
    the segment is not paid for, or was stopped under the bounds and the recipe that still hold.
    """
    training, segment = settings.load_scale(scale_name).training, dag.segment(scale_name, segment_id)
    assert training is not None
    conditions = digest_of([training.health.model_dump(mode="json"), dag.training_digest(scale_name, segment_id)])
    stop = StopNote(runs / f"{segment_id}.stopped.json", conditions, f"config/scales/{scale_name}.yaml")
    stop.refuse_if_standing()
    require_approval(scale_name, segment_id, runs.parent)
    steps = timeline(scale_name, runs.parent)
    monitor = HealthMonitor(training.health, [row for row in steps if row.get("stage") == segment.stage])

    def see(row: Row) -> None:
        for finding in monitor.observe(row):
            say(str(finding))
            if finding.level == "stop":
                stop.write(finding)
                raise JobError(
                    f"stopped, {finding}", None, f"states, metrics and logs are kept; {stop.way_on(finding.rule)}"
                )

    return see


class StopNote:
    """The file that says why a segment was stopped, and under which conditions (a digest)."""

    def __init__(self, path: Path, conditions: str, settings_file: str) -> None:
        self.path, self.conditions, self.settings_file = path, conditions, settings_file

    def write(self, finding: Finding) -> None:
        note = {"step": finding.step, "rule": finding.rule, "message": finding.message, "conditions": self.conditions}
        write_json(self.path, note)

    def refuse_if_standing(self) -> None:
        """Raise UserError where the run was stopped under these conditions; under others the note is void, and goes."""
        try:
            note = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except ValueError:
            note = {}
        if note.get("conditions") != self.conditions:
            self.path.unlink()
            return
        what = f"this segment was stopped at step {note.get('step')}: {note.get('message')}"
        raise UserError(what, self.path, self.way_on(str(note.get("rule"))))

    def way_on(self, rule: str) -> str:
        return (
            "look at it with `deepscaler status`; to go on from the last saved state all the same, change "
            f"training.health.{rule} in {self.settings_file}"
        )
