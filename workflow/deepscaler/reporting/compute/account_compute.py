"""The ledger: what a scale's jobs took, by rule and stage, beside the plan's and the paper's numbers.

Wall time, memory and CPU time are Snakemake's own measurements, one file a job under logs/{scale}/{rule}/. Memory is
the proportional set size, which counts once what a job's processes share, or where that is unknown the resident one.
They cover the attempt that finished a job. Where a training job was killed and resumed, its earlier steps are in
training.csv with their times, and the larger of the two sums counts.
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepscaler import dag, foreign, settings
from deepscaler.cost.planned import planned_gpu_hours
from deepscaler.cost.processor import estimate_processor
from deepscaler.dag import resources
from deepscaler.errors import UserError
from deepscaler.files import writing
from deepscaler.reporting.claims.results import Results, Row, number
from deepscaler.settings.claims import ComputeValue, claims, holds_at

FIELDS = (
    "rule",  # then `train_segment` of `all` stages, and `total`
    "stage",
    "jobs",
    "wall_hours",  # summed over jobs, which may have run side by side
    "gpu_hours",
    "core_hours",  # wall time × requested cores
    "cpu_hours",  # what was used of them, by the jobs that were long enough to be measured; empty where none was
    "peak_memory_gb",  # the same
    "dollars",
    "planned_wall_hours",  # what `deepscaler plan` expected
    "planned_gpu_hours",
    "paper_gpu_hours",
    "elapsed_hours",  # of `total`: from the first job's start to the last one's end
)
TRAINING, ALL, TOTAL = "train_segment", "all", "total"


@dataclass(frozen=True)
class Job:
    """What one job took."""

    rule: str
    stage: str
    """The training stage of a train_segment; other rules have none."""
    ended: float
    """Seconds since the epoch: when its measurements were written."""
    seconds: float
    cpu_seconds: float | None
    """None, as the peak, where the job was too short to be measured."""
    peak_mb: float | None


@dataclass(frozen=True)
class Entry:
    """A row of the ledger."""

    rule: str
    stage: str
    jobs: int
    wall_hours: float
    gpu_hours: float
    core_hours: float
    cpu_hours: float | None
    peak_memory_gb: float | None

    @classmethod
    def sum(cls, rule: str, stage: str, parts: list["Entry"]) -> "Entry":
        return cls(
            rule,
            stage,
            sum(part.jobs for part in parts),
            sum(part.wall_hours for part in parts),
            sum(part.gpu_hours for part in parts),
            sum(part.core_hours for part in parts),
            reduced(sum, (part.cpu_hours for part in parts)),
            reduced(max, (part.peak_memory_gb for part in parts)),
        )


def account_compute(*, scale: str, benchmarks: Path, output: Path) -> None:
    """Write compute.csv from a folder of Snakemake's benchmark files and the times of the training steps."""
    jobs = list(read_jobs(scale, benchmarks))
    if not jobs:
        raise UserError("no benchmark files (*.tsv)", benchmarks, "they are written by the rules as they run")
    entries = ledger(scale, jobs, Results(scale, output.parent))
    planned = planned_hours(scale)
    rows = [[*as_row(scale, entry, planned), ""] for entry in entries]
    rows[-1][-1] = f"{elapsed_hours(jobs):.4f}"
    with writing(output) as aside, aside.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows(rows)


def read_jobs(scale: str, folder: Path) -> Iterator[Job]:
    """The jobs that wrote a benchmark file, which is {rule}/{wildcards}.tsv."""
    stages = {segment.id: segment.stage for segment in dag.segments(scale)}
    for path in sorted(folder.glob("*/*.tsv")):
        rows: list[Row] = list(foreign.csv_rows(path, delimiter="\t"))
        if not rows:
            continue
        rule = path.parent.name
        stage = stages.get(path.stem, "") if rule == TRAINING else ""
        seconds, cpu, shared, resident = (
            benchmark_value(rows[-1], column, path) for column in ("s", "cpu_time", "max_pss", "max_rss")
        )
        if not cpu:  # looked at once, when the job's shell had just started
            cpu = shared = resident = None
        yield Job(rule, stage, path.stat().st_mtime, seconds or 0.0, cpu, shared or resident)


def elapsed_hours(jobs: list[Job]) -> float:
    """From the first job's start to the last one's end, pauses included."""
    return (max(job.ended for job in jobs) - min(job.ended - job.seconds for job in jobs)) / 3600


def benchmark_value(row: Row, column: str, path: Path) -> float | None:
    """Snakemake writes NA for what it could not measure, as of very short jobs."""
    return None if row.get(column) == "NA" else number(row, column, path)


def reduced(reduce: Callable[[list[float]], float], values: Iterable[float | None]) -> float | None:
    """The sum or the maximum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return reduce(known) if known else None


def in_unit(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


def ledger(scale: str, jobs: Iterable[Job], results: Results) -> list[Entry]:
    """A row a rule and stage, stages in the order in which they train; then all of training, and everything."""
    groups: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.rule, job.stage].append(job)
    order = ["", *dict.fromkeys(segment.stage for segment in dag.segments(scale))]
    keys = sorted(groups, key=lambda key: (key[0], order.index(key[1])))
    entries = [entry_of(scale, key, groups[key], results) for key in keys]
    training = [entry for entry in entries if entry.rule == TRAINING]
    sums = [Entry.sum(TRAINING, ALL, training)] if training else []
    return [*entries, *sums, Entry.sum(TOTAL, "", entries)]


def entry_of(scale: str, key: tuple[str, str], jobs: list[Job], results: Results) -> Entry:
    rule, stage = key
    seconds = sum(job.seconds for job in jobs)
    if rule == TRAINING:
        steps = [step for step in results.training if step.stage == stage]
        seconds = max(seconds, sum(step.value("seconds") or 0.0 for step in steps))
    hours = seconds / 3600
    nodes = dag.layout(scale, stage).nodes if stage else 1
    return Entry(
        rule,
        stage,
        jobs=len(jobs),
        wall_hours=hours,
        gpu_hours=hours * gpus_of(scale, rule, stage),
        core_hours=hours * nodes * (dag.needs(scale, rule).cpus or 1),
        cpu_hours=reduced(sum, (in_unit(job.cpu_seconds, 3600) for job in jobs)),
        peak_memory_gb=reduced(max, (in_unit(job.peak_mb, 1024) for job in jobs)),
    )


def gpus_of(scale: str, rule: str, stage: str) -> int:
    """GPUs that a job holds; none at a scale that runs on CPUs."""
    nodes, each = resources.gpus(scale, rule, stage or None)
    return nodes * each if settings.load_scale(scale).device == "gpu" else 0


def as_row(scale: str, entry: Entry, planned: dict[tuple[str, str], tuple[float, float]]) -> list[str]:
    rate = settings.load_scale(scale).budget.dollars_per_gpu_hour
    key = (entry.rule, entry.stage)
    hours = (entry.wall_hours, entry.gpu_hours, entry.core_hours)
    return [
        *(entry.rule, entry.stage, str(entry.jobs)),
        *(f"{value:.4f}" for value in hours),
        "" if entry.cpu_hours is None else f"{entry.cpu_hours:.4f}",
        "" if entry.peak_memory_gb is None else f"{entry.peak_memory_gb:.3f}",
        f"{entry.gpu_hours * rate:.2f}",
        *([f"{value:.4f}" for value in planned[key]] if key in planned else ["", ""]),
        paper_gpu_hours(scale) if key == (TRAINING, ALL) else "",
    ]


def planned_hours(scale: str) -> dict[tuple[str, str], tuple[float, float]]:
    """(rule, stage) → the (wall hours, GPU-hours) that `deepscaler plan` expects, of the rules that it prices."""
    if settings.load_scale(scale).device == "cpu":
        rules = estimate_processor(scale).rules
        planned = {(entry.rule, entry.stage): (entry.seconds.expected / 3600, 0.0) for entry in rules}
    else:
        hours = {key: value.expected for key, value in planned_gpu_hours(scale).items()}
        single = {key: value for key, value in hours.items() if key[0] != TOTAL and key[1] != ALL}
        planned = {key: (value / (gpus_of(scale, *key) or 1), value) for key, value in single.items()}
    training = [value for (rule, _), value in planned.items() if rule == TRAINING]
    everything = list(planned.values())
    return planned | {(TRAINING, ALL): sum_of_pairs(training), (TOTAL, ""): sum_of_pairs(everything)}


def sum_of_pairs(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(first for first, _ in pairs), sum(second for _, second in pairs)


def paper_gpu_hours(scale: str) -> str:
    """The paper's GPU-hours of all training, from the claim that is compared with the ledger."""
    for claim in claims().claims:
        measure = claim.measure
        if not holds_at(claim, scale) or not isinstance(measure, ComputeValue) or measure.minus or measure.over:
            continue
        if (measure.rule, measure.quantity) == (TRAINING, "gpu_hours"):
            return f"{claim.expected:g}"
    return ""
