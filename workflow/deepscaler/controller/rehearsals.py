"""A rehearsal whose jobs failed is judged too: what was not reached is its no go, and the report says so."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepscaler.errors import DeepscalerError
from deepscaler.reporting.rehearsal.judge_rehearsal import judge_rehearsal
from deepscaler.settings import load_scale, site

RULE = "judge_rehearsal"


def judge_unfinished(workflow: Any) -> Iterator[str]:
    """At the end of a Snakemake run that failed: the verdict on each of its rehearsals that did not reach its own."""
    dag: Any = getattr(workflow, "dag", None)
    if dag is None:
        return
    for job in dag.needrun_jobs():
        if job.rule.name == RULE and not dag.finished(job):
            scale = job.wildcards.scale
            results = Path("results") / scale
            try:
                if load_scale(scale).rehearsal:
                    yield f"rehearsal {scale}: {judge(scale, results)}"
            except DeepscalerError as error:
                yield f"deepscaler: {error}"


def judge(scale: str, results: Path) -> str:
    results.mkdir(parents=True, exist_ok=True)
    return judge_rehearsal(
        scale=scale,
        work=Path(site().work) / scale,
        logs=Path("logs") / scale,
        checks=results / "checks.csv",
        record=results / "rehearsal.json",
        page_path=results / "report.html",
    )
