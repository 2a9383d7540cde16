"""The guard of a training job: the budget before it starts, the bounds of health while it runs.

A run that was stopped for its health stays stopped when its job is submitted again, as schedulers and Snakemake do with
jobs that fail: it goes on only with other bounds or another recipe.
"""

from collections.abc import Callable
from pathlib import Path

from deepscaler import dag, settings
from deepscaler.alerts import events
from deepscaler.errors import JobError, UserError
from deepscaler.files import digest_of, read_json, write_json
from deepscaler.training.watch.budget import require_approval
from deepscaler.training.watch.health import Finding, HealthMonitor
from deepscaler.training.watch.metrics import Row
from deepscaler.training.watch.timeline import timeline


def guard(scale_name: str, segment_id: str, runs: Path, report: Callable[[str], None] = print) -> Callable[[Row], None]:
    """A function to call with the row of every step, which raises JobError at the first that breaks a bound.

    `runs` is {work}/{scale}/runs. It knows the steps that the stage has made before. Raises UserError where the
    segment exceeds the approved budget, or was stopped under the bounds and the recipe that still hold.
    """
    training, segment = settings.load_scale(scale_name).training, dag.segment(scale_name, segment_id)
    assert training is not None
    conditions = digest_of([training.health.model_dump(mode="json"), dag.training_digest(scale_name, segment_id)])
    stop = StopNote(runs / f"{segment_id}.stopped.json", conditions, f"config/scales/{scale_name}.yaml")
    stop.refuse_if_in_force()
    require_approval(scale_name, segment_id, runs.parent)
    steps = timeline(scale_name, runs.parent)
    monitor = HealthMonitor(training.health, [row for row in steps if row.get("stage") == segment.stage])

    def on_step(row: Row) -> None:
        for finding in monitor.observe(row):
            report(str(finding))
            if finding.level == "stop":
                stop.write(finding)
                hint = f"states, metrics and logs are kept; {stop.how_to_continue(finding.rule)}"
                name = f"health-{segment_id}-{finding.step}-{finding.rule}-{conditions[:8]}"
                command = f"To go on: {hint}; then the same snakemake command again"
                events.from_job(scale_name, name, f"{segment_id} stopped for its health", f"{finding}. {command}")
                raise JobError(f"stopped, {finding}", None, hint)

    return on_step


class StopNote:
    """The file that says why a segment was stopped, and under which conditions (a digest)."""

    def __init__(self, path: Path, conditions: str, settings_file: str) -> None:
        self.path, self.conditions, self.settings_file = path, conditions, settings_file

    def write(self, finding: Finding) -> None:
        note = {"step": finding.step, "rule": finding.rule, "message": finding.message, "conditions": self.conditions}
        write_json(self.path, note)

    def refuse_if_in_force(self) -> None:
        """Raise UserError where the run was stopped under these conditions; under others the note is removed."""
        if not self.path.exists():
            return
        try:
            note = read_json(self.path)
        except UserError:
            note = {}
        if not isinstance(note, dict) or note.get("conditions") != self.conditions:
            self.path.unlink()
            return
        what = f"this segment was stopped at step {note.get('step')}: {note.get('message')}"
        raise UserError(what, self.path, self.how_to_continue(str(note.get("rule"))))

    def how_to_continue(self, rule: str) -> str:
        return (
            "look at it with `deepscaler status`; to go on from the last saved state all the same, change "
            f"training.health.{rule} in {self.settings_file}"
        )
