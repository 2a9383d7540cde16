"""How the workflow ran, as the Provenance Run profile has it: its steps, each step's executions, and what they took.

A rule is a tool; the workflow has a step for each; Snakemake organised the jobs. Profile:
https://w3id.org/ro/wfrun/provenance
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepscaler import foreign, settings
from deepscaler.reporting.compute.account_compute import benchmark_value
from deepscaler.reporting.provenance.jobs import RunJob

if TYPE_CHECKING:
    from deepscaler.reporting.provenance.record_provenance import Crate

MEASURES = {
    "s": ("elapsed time", "SEC"),
    "cpu_time": ("processor time", "SEC"),
    "max_rss": ("largest resident memory", "4L"),
    "max_pss": ("largest proportional memory", "4L"),
}
"""Snakemake's measurement → what it is, and its unit's UN/CEFACT code: seconds, megabytes."""


def add_steps(crate: "Crate", run: Any, executions: list[tuple[RunJob, Any]]) -> None:
    """The steps in the order in which each first ended, and Snakemake, which called them for `run`."""
    steps: dict[str, Any] = {}
    for job, action in executions:
        if job.rule not in steps:
            steps[job.rule] = add_step(crate, job.rule, action["instrument"], position=len(steps) + 1)
    crate.workflow["hasPart"] = [step["workExample"] for step in steps.values()]
    crate.workflow["step"] = list(steps.values())
    controls = [
        crate.crate.add_jsonld(
            {
                "@id": action.id.replace("#job-", "#control-"),
                "@type": "ControlAction",
                "name": f"call {job.rule}",
                "instrument": {"@id": steps[job.rule].id},
                "object": {"@id": action.id},
            }
        )
        for job, action in executions
    ]
    organised: dict[str, Any] = {
        "@id": "#organised",
        "@type": "OrganizeAction",
        "name": f"Snakemake calls the steps of scale {crate.scale}",
        "instrument": {"@id": "#snakemake"},
        "object": [{"@id": control.id} for control in controls],
        "result": {"@id": run.id},
        "agent": {"@id": crate.authors.id},
    }
    times = {key: run[key] for key in ("startTime", "endTime") if run.get(key)}
    if controls:
        crate.crate.root_dataset.append_to("mentions", crate.crate.add_jsonld(organised | times))


def add_step(crate: "Crate", rule: str, tool: Any, *, position: int) -> Any:
    step = {"@id": f"#step-{rule}", "@type": "HowToStep", "name": rule, "position": str(position)}
    return crate.crate.add_jsonld(step | {"workExample": {"@id": tool.id}})


def usage(job: RunJob) -> Iterator[dict[str, str]]:
    """What Snakemake measured of a job, from the file beside its log; nothing where that is gone or says so."""
    path = Path(settings.run_root(), job.log or "").with_suffix(".tsv")
    rows = list(foreign.csv_rows(path, delimiter="\t")) if job.log and path.is_file() else []
    for column, (what, unit) in MEASURES.items() if rows else ():
        value = benchmark_value(rows[-1], column, path) if rows[-1].get(column) else None
        if value is not None:
            yield {"propertyID": column, "name": what, "unitCode": unit, "value": str(value)}
