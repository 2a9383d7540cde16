# What all rules share: the work root, wildcard constraints, and answers to "what does this job need?".
# All logic is in deepscaler.dag; here it only meets the wildcards.
import os
import sys
from pathlib import Path

from deepscaler import dag, settings
from deepscaler.controller import failed_jobs, shell_environment, slurm_requests, stale_locks
from deepscaler.controller.targets import check_settings, check_targets
from deepscaler.dag import resources
from deepscaler.errors import UserError

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger


def or_refuse(check, *given):
    """Run a check of what the user gave. It fails in one line: an exception would come with the rules' source."""
    try:
        check(*given)
    except UserError as error:
        print(f"deepscaler: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


or_refuse(shell_environment.check_python_path, os.environ.get("PYTHONPATH", ""), sys.path)
or_refuse(check_settings)
if workflow.is_main_process:
    stale_locks.release_the_dead()

WORK = settings.site().work
shell_environment.for_jobs(os.environ)
SCALES = settings.scale_names()
# `localrules:` takes names only, not an expression
workflow.localrules(*resources.local_rules())


if settings.site().image:

    container: settings.site().image


wildcard_constraints:
    scale="|".join(SCALES),
    stage=r"[a-z0-9.]+",
    segment=r"[a-z0-9.]+-\d+",
    shard=r"\d+",
    shards=r"\d+",
    suite=r"[a-z0-9]+",
    figure=r"\d",


def work(path):
    """A path below the work root, where all that is large lies."""
    return f"{WORK}/{path}"


def environment(wildcards):
    """The environment of the engines' jobs: at a scale on GPUs, their CUDA builds."""
    return f"../../envs/{settings.load_scale(wildcards.scale).device}.yaml"


def cpus(rule, scale=None):
    """The cores that the jobs of a rule ask for, at their scale."""
    return lambda wildcards: resources.cpus(scale or wildcards.scale, rule)


def request(rule, scale=None):
    """All else that they ask for: memory, wall time, GPUs, nodes, partition and account."""

    def asked(key):
        return lambda wildcards: resources.request(scale or wildcards.scale, rule, wildcards.get("segment")).get(key)

    return {key: asked(key) for key in resources.keys(rule)}


def check_cluster():
    """Before the first sbatch: would SLURM take these jobs, can they write, and does no earlier run still do so?"""
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    asked = ({**dict(job.resources.items()), "cpus": job.threads, "rule": job.rule.name} for job in jobs)
    comments = {slurm_requests.comment_of(job.rule.name, job.wildcards) for job in jobs}
    groups = {str(job.group) for job in jobs if job.group}
    stale_locks.announce(workflow.persistence._lockfile.values())
    try:
        slurm_requests.check_work()
        for _ in slurm_requests.check(asked):
            pass
        stay_with_squeue()
        if slurm_requests.outlive_orphans(comments, groups, Path.cwd(), logger.info):
            start_again()
    except UserError as error:
        raise WorkflowError(str(error))


def stay_with_squeue():
    """Ask SLURM once for how long it remembers jobs. The plugin asks at every check, and takes no answer for too short.

    While the controller is away it would turn to sacct, and where there is no accounting ask that for ever.
    """
    import snakemake_executor_plugin_slurm as plugin

    known = plugin.get_min_job_age()
    if known is not None:
        plugin.get_min_job_age = lambda: known


def start_again():
    """Begin anew, as if typed again: what an earlier run's jobs have made meanwhile is not to be made once more."""
    logger.info("The earlier run's jobs have ended: looking again at what is left to do")
    workflow.tear_down()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def setting(*dotted):
    """A digest of sections of the scale's settings: a job runs again when one of them changes."""
    return lambda wildcards: settings.settings_digest(*(settings.section(wildcards.scale, key) for key in dotted))
