"""What Snakemake's own process tells people: a job that failed, the end of a run, and what jobs left to be sent."""

import os
import re
import time
from typing import TYPE_CHECKING, Any

from deepscaler.alerts import events

if TYPE_CHECKING:
    from deepscaler.controller.console.failure import Failure

SCALE_OF_LOG = re.compile(r"(?:^|/)logs/([^/]+)/")
LOOK = 30.0
"""Seconds between looks at the outboxes."""
scales: list[str] = []
"""Those of the jobs of this run."""
run = f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
"""What tells this run's events from another's."""
looked = 0.0
failures = 0


def begin(workflow: Any) -> None:
    """Before the first job: which scales are these?"""
    found = {job.wildcards_dict.get("scale") for job in workflow.dag.needrun_jobs()}
    scales[:] = sorted(scale for scale in found if scale)


def look(now: float) -> None:
    """Send what jobs left, at most every half a minute; `now` of the monotonic clock."""
    global looked
    if now - looked >= LOOK:
        looked = now
        for scale in scales:
            events.send_pending(scale)


def job_failed(failure: "Failure") -> None:
    """A job has failed, as the console shows it; each try is told."""
    global failures
    failures += 1
    found = [match[1] for log in failure.logs if (match := SCALE_OF_LOG.search(log))]
    text = "\n".join(f"{name}: {line}" for name, line in failure.parts())
    for scale in found[:1] or scales[:1]:
        name = f"failed-{failure.name}-{run}-{failures}"
        events.from_controller(scale, name, f"{failure.name} failed", f"{failure.what}\n{text}".strip())


def ended(failed_lines: list[str] | None = None) -> None:
    """The run is at its end: it finished, or it stopped with these failed jobs."""
    for scale in scales:
        if failed_lines is None:
            events.from_controller(scale, f"finished-{run}", "finished", "all that was asked for is there")
        else:
            text = "\n".join([*failed_lines, "the same snakemake command goes on where it stopped"])
            events.from_controller(scale, f"stopped-{run}", "the run has stopped", text)
        events.send_pending(scale)
