"""Before the first job on this computer: no job that an earlier, killed run left behind may still be writing.

What such a job finishes is not made again: a segment and a shard of samples are recognised by their digests.
"""

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepscaler.controller import before_submission, stale_locks


def await_earlier_jobs(workflow: Any) -> None:
    """Wait for what earlier runs left behind, then look again at what is left to do; mark the jobs of this run.

    `workflow` is Snakemake's, with its DAG built and its locks taken.
    """
    from snakemake.logging import logger

    token = uuid.uuid4().hex
    stale_locks.announce(workflow.persistence._lockfile.values(), token=token)
    if wait_for_orphans(logger.warning):
        logger.warning("They have ended: looking again at what is left to do")
        before_submission.restart(workflow)
    os.environ[stale_locks.RUN] = token


def wait_for_orphans(report: Callable[[str], None], notes: Path = stale_locks.NOTES, pause: float = 1.0) -> bool:
    """Wait until no process of an earlier run is left; whether there was one."""
    reported: set[int] = set()
    while found := stale_locks.orphans(notes):
        if not reported:
            report("Jobs of an earlier run, which was killed, are still at work here: waiting for them to end.")
        if new := set(found) - reported:
            report(f"To stop them instead: kill {' '.join(map(str, sorted(new)))}")
        reported.update(found)
        time.sleep(pause)
    return bool(reported)
