"""Before Snakemake's first sbatch: the checks and the waiting that need Snakemake's own objects.

The only part of the package that calls Snakemake. What it uses of its internals is listed here, so that a new version
of Snakemake or of its SLURM plugin is one file to check.
"""

import os
import sys
from pathlib import Path
from typing import Any

from deepscaler.controller import slurm_requests, stale_locks
from deepscaler.cost.planned import SAMPLING, TRAINING
from deepscaler.errors import UserError
from deepscaler.settings.load import project_root, site
from deepscaler.training.watch import budget


def check_cluster(workflow: Any) -> None:
    """Would SLURM take these jobs, can they write, and does no job of an earlier run still do so?

    `workflow` is Snakemake's, with its DAG built and its locks taken. Raises WorkflowError, which Snakemake prints
    without the rules' source.
    """
    from snakemake.exceptions import WorkflowError
    from snakemake.logging import logger

    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    stale_locks.announce(workflow.persistence._lockfile.values())
    try:
        slurm_requests.check_work()
        for _ in slurm_requests.check(map(request_of, jobs)):
            pass
        pin_min_job_age()
        comments = {slurm_requests.comment_of(job.rule.name, job.wildcards) for job in jobs}
        groups = {str(job.group) for job in jobs if job.group}
        if slurm_requests.wait_for_orphans(comments, groups, Path.cwd(), logger.info):
            logger.info("The earlier run's jobs have ended: looking again at what is left to do")
            restart(workflow)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def check_budget(workflow: Any) -> None:
    """Is what these jobs will spend approved? Asked before the first one starts, wherever they run."""
    from snakemake.exceptions import WorkflowError

    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule.name in (TRAINING, SAMPLING)]
    try:
        for scale in sorted({job.wildcards.scale for job in jobs}):
            budget.require_plan(scale, project_root() / site().work / scale)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def request_of(job: Any) -> dict[str, Any]:
    """What a job of Snakemake's asks for, as `slurm_requests.check` takes it."""
    return {**dict(job.resources.items()), "cpus": job.threads, "rule": job.rule.name}


def pin_min_job_age() -> None:
    """Ask SLURM once for how long it remembers ended jobs, and let the plugin use that answer from then on.

    The plugin asks at every status check, and takes no answer for too short a time. While the controller is away it
    would then ask sacct instead, and where there is no accounting go on asking for ever.
    """
    import snakemake_executor_plugin_slurm as plugin

    known = plugin.get_min_job_age()
    if known is not None:
        plugin.get_min_job_age = lambda: known


def restart(workflow: Any) -> None:
    """Run the same command again in this process: what the earlier run's jobs have made is not to be made once more."""
    workflow.tear_down()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
