"""Before the first job, wherever jobs run: keys, this computer's GPU, and the approval of what it will cost.

Each check takes Snakemake's workflow, with its DAG built, and raises WorkflowError, which Snakemake prints.
"""

from typing import Any

from deepscaler.controller import language_model_keys
from deepscaler.cost.planned import SAMPLING, TRAINING
from deepscaler.errors import UserError
from deepscaler.settings import site
from deepscaler.settings.load import load_scale
from deepscaler.settings.yaml_files import run_root
from deepscaler.training.readiness.sampling import check_sampling
from deepscaler.training.watch import budget


def check_language_models(workflow: Any) -> None:
    """Are the keys there for the models that the jobs to be run will ask?"""
    from snakemake.exceptions import WorkflowError

    jobs = [
        (job.rule.name, job.wildcards_dict["scale"])
        for job in workflow.dag.needrun_jobs()
        if "scale" in job.wildcards_dict
    ]
    try:
        language_model_keys.check_keys(jobs)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def check_computer(workflow: Any) -> None:
    """Where jobs will sample on a GPU: is it one that they can use, before the weights are fetched?"""
    from snakemake.exceptions import WorkflowError

    sampling = {job.wildcards.scale for job in workflow.dag.needrun_jobs() if job.rule.name == SAMPLING}
    for scale in sorted(filter(needs_a_look, sampling)):
        missing = [check for check in check_sampling(scale) if check.level == "missing"]
        if missing:
            what = "; ".join(f"{check.what} ({check.hint})" if check.hint else check.what for check in missing)
            hint = f"`deepscaler preflight --scale {scale}` lists all that is missing"
            raise WorkflowError(f"this computer can't sample at scale {scale!r}: {what}. Hint: {hint}")


def needs_a_look(scale_name: str) -> bool:
    """A scale on a GPU whose DAG has no preflight: one that trains has, with a list of its own."""
    scale = load_scale(scale_name)
    return scale.device == "gpu" and scale.training is None


def check_budget(workflow: Any) -> None:
    """Is what these jobs will spend approved? Asked before the first one starts, wherever they run."""
    from snakemake.exceptions import WorkflowError

    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule.name in (TRAINING, SAMPLING)]
    try:
        for scale in sorted({job.wildcards.scale for job in jobs}):
            budget.require_plan(scale, run_root() / site().work / scale)
    except UserError as error:
        raise WorkflowError(str(error)) from None
