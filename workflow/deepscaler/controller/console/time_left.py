"""Minutes left: the plan's seconds of each job, corrected by what this machine has shown, laid out along the DAG.

Jobs start as soon as what they wait for has ended and the computer has room. Queues of a cluster are not known.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping

from deepscaler.controller.console.jobs import Job

PRIOR = 0.05
"""Of the whole plan's seconds: how much the plan weighs against what was measured."""
PRIOR_OF_RULE = 0.5
"""The same for one rule, in jobs of it."""
FROM_SHARE = 0.15
"""A running job counts as evidence once this much of it is done."""


def time_left(
    jobs: Mapping[int, Job],
    shares: Mapping[int, float],
    running: Mapping[int, float],
    limits: Mapping[str, int],
    now: float,
) -> float:
    """Seconds until the last job ends. `shares`: done, of running jobs whose log says so; `running`: seconds that each
    of those still takes by its own pace."""
    factors = Correction(jobs.values(), shares, now)
    seconds: dict[int, float] = {}
    for job in jobs.values():
        if job.over:
            continue
        expected = job.expected * factors.of(job.rule)
        if job.number in running:
            seconds[job.number] = running[job.number]
        elif job.state == "running":
            # longer than expected: as long again as it is over
            seconds[job.number] = max(expected - job.seconds(now), 0.1 * job.seconds(now))
        else:
            seconds[job.number] = expected
    return laid_out(jobs, seconds, limits)


class Correction:
    """Measured to planned seconds, by rule; a rule of which nothing has run is as far off as all others together."""

    def __init__(self, jobs: Iterable[Job], shares: Mapping[int, float], now: float) -> None:
        measured: dict[str, float] = defaultdict(float)
        planned: dict[str, float] = defaultdict(float)
        self.single: dict[str, float] = {}
        whole = 0.0
        for job in jobs:
            whole += job.expected
            self.single[job.rule] = job.expected
            share = 1.0 if job.state == "done" else shares.get(job.number, 0.0) if job.state == "running" else 0.0
            if share >= FROM_SHARE:
                measured[job.rule] += job.seconds(now)
                planned[job.rule] += share * job.expected
        self.measured, self.planned = measured, planned
        prior = PRIOR * whole or 1.0
        self.all = (sum(measured.values()) + prior) / (sum(planned.values()) + prior)

    def of(self, rule: str) -> float:
        if not self.planned.get(rule):
            return self.all
        prior = PRIOR_OF_RULE * self.single[rule]
        return (self.measured[rule] + prior * self.all) / (self.planned[rule] + prior)


def laid_out(jobs: Mapping[int, Job], seconds: Mapping[int, float], limits: Mapping[str, int]) -> float:
    """When the last of the jobs in `seconds` ends, if each starts as early as it can; the longest chain goes first."""
    waits = {number: {other for other in jobs[number].after if other in seconds} for number in seconds}
    follow: dict[int, list[int]] = defaultdict(list)
    for number, others in waits.items():
        for other in others:
            follow[other].append(number)
    chain: dict[int, float] = {}

    def longest(number: int) -> float:
        if number not in chain:
            chain[number] = 0.0  # against a circle, which Snakemake's DAG does not have
            chain[number] = seconds[number] + max((longest(other) for other in follow[number]), default=0.0)
        return chain[number]

    free, clock = dict(limits), 0.0
    ready = sorted(
        (number for number, others in waits.items() if not others),
        key=lambda number: (jobs[number].state != "running", -longest(number)),
    )
    ends: list[tuple[float, int]] = []
    while ready or ends:
        held = []
        for number in ready:
            if fits(jobs[number].asks, free, limits):
                take(jobs[number].asks, free, -1)
                heapq.heappush(ends, (clock + seconds[number], number))
            else:
                held.append(number)
        ready = held
        clock, number = heapq.heappop(ends)
        take(jobs[number].asks, free, 1)
        for other in follow[number]:
            waits[other].discard(number)
            if not waits[other]:
                ready.append(other)
        ready.sort(key=lambda number: -longest(number))
    return clock


def fits(asks: Mapping[str, int], free: Mapping[str, int], limits: Mapping[str, int]) -> bool:
    """Whether there is room; a job that asks for more than there is at all takes everything."""
    return all(min(count, limits[name]) <= free[name] for name, count in asks.items() if name in limits)


def take(asks: Mapping[str, int], free: dict[str, int], sign: int) -> None:
    for name, count in asks.items():
        if name in free:
            free[name] += sign * count
