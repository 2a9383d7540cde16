"""Before the first job of a run without SLURM: can this computer sample what it is asked to?"""

from typing import Any

from deepscaler.settings import load_scale
from deepscaler.training.readiness.sampling import check_sampling


def check_computer(workflow: Any) -> None:
    """Where jobs will sample on a GPU: is it one that they can use, before the weights are fetched?

    `workflow` is Snakemake's, with its DAG built. Raises WorkflowError, for Snakemake to print.
    """
    from snakemake.exceptions import WorkflowError

    sampling = {job.wildcards.scale for job in workflow.dag.needrun_jobs() if job.rule.name == "sample"}
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
