"""The state of a run: its jobs as Snakemake reports them, and their progress as their logs do."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deepscaler.controller.console.jobs import Job
from deepscaler.controller.console.log_progress import Progress, read_progress
from deepscaler.controller.console.time_left import time_left

PACE_FROM = 3.0
"""Seconds for which an activity is watched before its pace is trusted."""
Stamp = tuple[int, int]
"""A file's time and size: they change when it is written."""


@dataclass
class Watched:
    """What was seen of a running job's log."""

    before: Stamp | None
    """The log as an earlier run of the job left it."""
    seen: Stamp | None = None
    progress: Progress | None = None
    first: tuple[float, float] = (0.0, 0.0)
    """When this activity was first seen, and its share then."""
    newest: tuple[float, float] = (0.0, 0.0)


@dataclass
class Run:
    """All that the display shows."""

    jobs: dict[int, Job]
    limits: dict[str, int] = field(default_factory=dict)
    began: float = 0.0
    watched: dict[int, Watched] = field(default_factory=dict)
    left: deque[float] = field(default_factory=lambda: deque(maxlen=5))
    """The newest estimates of the time left: their median is shown, so that it does not jump."""

    def start(self, numbers: list[int], now: float) -> int:
        """Jobs are started or submitted; how many of them had failed before."""
        again = 0
        for number in numbers:
            if (job := self.jobs.get(number)) is not None:
                again += job.state == "failed"
                job.state = "running" if job.asks else "submitted"
                job.started, job.ended = now, None
                self.watched[number] = Watched(stamp_of(job.log))
        return again

    def finish(self, number: int, now: float) -> Job | None:
        job = self.jobs.get(number)
        if job is None or job.over:
            return None
        self.look_at(job, now)
        job.state, job.ended = "done", now
        return job

    def fail(self, number: int, now: float) -> Job | None:
        job = self.jobs.get(number)
        if job is not None:
            job.state, job.ended = "failed", now
        return job

    def look(self, now: float) -> None:
        """Read the logs of the jobs at work, where they have changed."""
        for job in self.jobs.values():
            if job.state in ("running", "submitted"):
                self.look_at(job, now)
        self.left.append(self.estimate(now))

    def look_at(self, job: Job, now: float) -> None:
        watched, stamp = self.watched.get(job.number), stamp_of(job.log)
        if watched is None or job.log is None or stamp is None or stamp == watched.seen:
            return
        if job.state == "submitted":
            if stamp == watched.before:
                return
            job.state, job.started = "running", now
        watched.seen = stamp
        found = read_progress(job.log)
        if found is None or found == watched.progress:
            return
        if watched.progress is None or found.activity != watched.progress.activity or found.share < watched.newest[1]:
            watched.first = (now, found.share)
        watched.progress, watched.newest = found, (now, found.share)

    def progress(self, job: Job) -> Progress | None:
        watched = self.watched.get(job.number)
        return watched.progress if watched else None

    def pace(self, job: Job, now: float) -> float | None:
        """Seconds that a running job still takes, by its own pace; None where that can't be told."""
        watched = self.watched.get(job.number)
        if watched is None or watched.progress is None:
            return None
        (since, before), (newest, share) = watched.first, watched.newest
        if newest - since < PACE_FROM or share <= before:
            return None
        return max(0.0, (1 - share) * (newest - since) / (share - before) - (now - newest))

    def estimate(self, now: float) -> float:
        running = [job for job in self.jobs.values() if job.state == "running"]
        paces = {job.number: pace for job in running if (pace := self.pace(job, now)) is not None}
        shares = {job.number: found.share for job in running if (found := self.progress(job)) and job.number in paces}
        return time_left(self.jobs, shares, paces, self.limits, now)

    def seconds_left(self) -> float | None:
        return sorted(self.left)[len(self.left) // 2] if self.left else None

    def counts(self) -> Mapping[str, int]:
        """State → jobs."""
        return Counter(job.state for job in self.jobs.values())

    def phases(self) -> dict[str, tuple[int, int]]:
        """Phase → (jobs done, jobs), in the order of the workflow."""
        found: dict[str, tuple[int, int]] = dict.fromkeys(PHASES, (0, 0))
        for job in self.jobs.values():
            done, total = found.get(job.phase, (0, 0))
            found[job.phase] = (done + (job.state == "done"), total + 1)
        return {phase: counts for phase, counts in found.items() if counts[1]}

    def at_work(self) -> list[Job]:
        """Running jobs, the longest expected first, so that they keep their place."""
        running = [job for job in self.jobs.values() if job.state == "running"]
        return sorted(running, key=lambda job: (-job.expected, job.number))


PHASES = ("data", "models", "training", "evaluation", "report")
"""The files of rules, in the order of the workflow."""


def stamp_of(log: Path | None) -> Stamp | None:
    try:
        status = log.stat() if log else None
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size) if status else None
