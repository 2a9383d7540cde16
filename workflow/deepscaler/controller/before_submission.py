"""Before Snakemake's first sbatch: the checks and the waiting that need Snakemake's own objects.

The only part of the package that calls Snakemake. What it uses of its internals is listed here, so that a new version
of Snakemake or of its SLURM plugin is one file to check.
"""

import os
import sys
from pathlib import Path
from typing import Any

from deepscaler.controller import language_model_keys, slurm_requests, stale_locks
from deepscaler.errors import UserError


def check_language_models(workflow: Any) -> None:
    """Are the keys there for the models that the jobs to be run will ask? Raises WorkflowError, as `check_cluster`."""
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
