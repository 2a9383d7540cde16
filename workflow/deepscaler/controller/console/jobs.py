"""The jobs of a run, from Snakemake's DAG: what each is, what it waits for, asks for, and is expected to take."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deepscaler.cost.job_seconds import job_seconds
from deepscaler.errors import DeepscalerError

State = Literal["waiting", "submitted", "running", "done", "failed"]
"""`submitted`: handed to SLURM, and its log not yet begun."""
SHARED = ("mem_mb", "gpus")
"""Resources that jobs on one computer take turns at, beside its cores."""


@dataclass
class Job:
    """One job, and how far it is."""

    number: int
    """Snakemake's."""
    rule: str
    what: str
    """Its rule's message."""
    phase: str
    """The noun of the file that its rule is in: data, models, training, evaluation, report."""
    scale: str | None
    log: Path | None
    expected: float
    """Seconds, by the plan."""
    asks: dict[str, int] = field(default_factory=dict)
    """`cores` and the shared resources, where the jobs run on this computer."""
    after: frozenset[int] = frozenset()
    """The numbers of the jobs that make its input."""
    state: State = "waiting"
    started: float | None = None
    """When it was started or submitted; of a job of SLURM's, when its log began. Monotonic seconds, as `ended`."""
    ended: float | None = None

    @property
    def over(self) -> bool:
        return self.state in ("done", "failed")

    def seconds(self, now: float) -> float:
        """How long it has run."""
        return 0.0 if self.started is None else max(0.0, (self.ended or now) - self.started)


def jobs_of(workflow: Any) -> dict[int, Job]:
    """The jobs that a run of Snakemake is about to start; its targets, which run nothing, are not among them."""
    dag = workflow.dag
    needed = {dag.jobid(job): job for job in dag.needrun_jobs() if job.rule.output}
    known = set(needed)
    found = {}
    for number, job in needed.items():
        wildcards = dict(job.wildcards.items())
        scale = wildcards.get("scale") or scale_of(map(str, job.output))
        found[number] = Job(
            number=number,
            rule=job.rule.name,
            what=str(job.message or job.rule.name),
            phase=Path(str(job.rule.snakefile)).stem,
            scale=scale,
            log=Path(str(job.log[0])) if job.log else None,
            expected=expected_of(scale, job.rule.name, wildcards),
            asks=asks_of(job) if workflow.local_exec or job.is_local else {},
            after=frozenset(known & {dag.jobid(other) for other in dag.dependencies[job]}),
        )
    return found


def scale_of(outputs: Iterable[str]) -> str | None:
    """The scale of a job without that wildcard: results/table.csv is the paper's."""
    return "paper" if any(path == "results/table.csv" for path in outputs) else None


def expected_of(scale: str | None, rule: str, wildcards: Mapping[str, str]) -> float:
    if scale is None:
        return 1.0
    try:
        return job_seconds(scale, rule, wildcards.get("segment"), wildcards.get("system"), wildcards.get("suite"))
    except (DeepscalerError, KeyError):  # the console must not stop a run that a price is missing for
        return 1.0


def asks_of(job: Any) -> dict[str, int]:
    asked = {"cores": int(job.threads)}
    for name in SHARED:
        value = dict(job.resources.items()).get(name)
        if isinstance(value, int) and value > 0:
            asked[name] = value
    return asked


def limits_of(workflow: Any) -> dict[str, int]:
    """What the jobs on this computer share."""
    given = {"cores": workflow.global_resources.get("_cores"), **workflow.global_resources}
    return {name: value for name in ("cores", *SHARED) if isinstance(value := given.get(name), int) and value > 0}
