"""Before Snakemake's first sbatch: the checks and the waiting that need Snakemake's own objects.

What is used of the SLURM plugin's internals is listed here, so that a new version is one file to check: the functions
that its `run_job` makes an sbatch call with (`call_of`), `get_min_job_age`, `query_job_status`, and how it reports that
a submission failed (`report_failed_groups`).
"""

import math
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from deepscaler.controller import slurm_requests, stale_locks, told_to_end
from deepscaler.controller.slurm_requests import GROUP, NAMES, SETTINGS_FILES, Submission
from deepscaler.errors import UserError
from deepscaler.settings import site

MEMORY, CORES = re.compile(r" --mem (\d+)"), re.compile(r" --cpus-per-task=(\d+)")
"""In the plugin's sbatch call."""


def check_cluster(workflow: Any) -> None:
    """Would SLURM take these jobs, can they write, and does no job of an earlier run still do so?

    `workflow` is Snakemake's, with its DAG built, its locks taken and its executor made. Raises WorkflowError, which
    Snakemake prints without the rules' source.
    """
    from snakemake.exceptions import WorkflowError
    from snakemake.logging import logger

    executor = workflow.scheduler._executor
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    stale_locks.announce(workflow.persistence._lockfile.values())
    try:
        slurm_requests.check_folder(Path.cwd())
        slurm_requests.check_work()
        adapt_plugin(executor)
        for _ in slurm_requests.check(submissions(executor, jobs_or_groups(workflow.dag, jobs))):
            pass
        comments = {slurm_requests.comment_of(job.rule.name, job.wildcards) for job in jobs}
        groups = {str(job.group) for job in jobs if job.group}
        if slurm_requests.wait_for_orphans(comments, groups, Path.cwd(), logger.info):
            logger.info("The earlier run's jobs have ended: looking again at what is left to do")
            restart(workflow)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def jobs_or_groups(dag: Any, jobs: Iterable[Any]) -> Iterator[Any]:
    """What is submitted for jobs that are to run: themselves, or their group, once.

    Snakemake's own `get_jobs_or_groups` ends with a KeyError where a job that belongs to a group is up to date.
    """
    seen: set[int] = set()
    for job in jobs:
        whole = job if job.group is None else dag._group[job]
        if id(whole) not in seen:
            seen.add(id(whole))
            yield whole


def submissions(executor: Any, jobs: Iterable[Any]) -> Iterator[Submission]:
    """What the plugin will submit for jobs and groups, each distinct request once, under the first one's name."""
    seen: set[str] = set()
    for job in jobs:
        asked = dict(job.resources.items())
        request = repr((sorted(asked.items()), job.threads))
        if request not in seen:
            seen.add(request)
            name = f"{GROUP}{job.groupid}" if job.is_group() else job.rule.name
            yield Submission(name, call_of(executor, job), asked)


def call_of(executor: Any, job: Any) -> str:
    """The plugin's own sbatch call for a job or a group, up to the names of job and files, by what its run_job uses.

    Raises UserError where the plugin itself would refuse to submit the job.
    """
    import snakemake_executor_plugin_slurm as plugin
    from snakemake.exceptions import WorkflowError

    try:
        plugin.validate_slurm_extra(job)
        place = {"account": next(executor.get_account_arg(job)), "partition": executor.get_partition_arg(job)}
        folder = {"workdir": executor.workflow.workdir_init}
        call: str = plugin.get_submit_command(
            job, NAMES | place | folder, settings=executor.workflow.executor_settings, failed_nodes=set()
        )
        return call + str(plugin.set_gres_string(job))
    except (WorkflowError, OSError) as error:
        raise UserError(f"the SLURM plugin does not submit {job.name}: {error}", SETTINGS_FILES) from None


def submissions_of(scale_name: str) -> Iterator[Submission]:
    """The same of each kind of job of a scale, without a DAG and so without groups."""
    import snakemake_executor_plugin_slurm as plugin
    from snakemake.iocontainers import ResourceList
    from snakemake.logging import logger

    executor = object.__new__(plugin.Executor)
    executor.workflow = SimpleNamespace(workdir_init=Path.cwd(), executor_settings=None)
    executor.logger = logger
    executor._partitions = executor._fallback_partition = executor._fallback_account_arg = None
    if site().memory_per_cpu:
        ask_for_memory_per_cpu()
    for rule, cores, request in slurm_requests.requests_of(scale_name):
        job = SimpleNamespace(name=rule, threads=cores, resources=ResourceList(fromdict=request))
        yield Submission(rule, call_of(executor, job), request)


def adapt_plugin(executor: Any) -> None:
    """What the plugin has no setting for, or does wrong; for as long as this process lives."""
    pin_min_job_age()
    told_to_end.go_on(executor)
    report_failed_groups(executor)
    if site().memory_per_cpu:
        ask_for_memory_per_cpu()


def pin_min_job_age() -> None:
    """Ask SLURM once for how long it remembers ended jobs, and let the plugin use that answer from then on.

    The plugin asks at every status check, and takes no answer for too short a time. While the controller is away it
    would then ask sacct instead, and where there is no accounting go on asking for ever.
    """
    import snakemake_executor_plugin_slurm as plugin

    known = plugin.get_min_job_age()
    if known is not None:
        plugin.get_min_job_age = lambda: known


def report_failed_groups(executor: Any) -> None:
    """Have it said why a group could not be submitted: Snakemake drops the plugin's message where it is of a group.

    And where submitting a group raises an error, the plugin's handler fails itself (it asks for the group's rule), and
    Snakemake would wait for that group for ever.
    """
    import snakemake_executor_plugin_slurm as plugin
    from snakemake.logging import logger

    print_job_error, run_job = executor.print_job_error, executor.run_job

    def print_with_message(job_info: Any, msg: str | None = None, **others: Any) -> None:
        if msg and job_info.job.is_group():
            logger.error(f"Error in group {job_info.job.groupid}: {msg}")
        print_job_error(job_info, msg, **others)

    def run_or_report(job: Any) -> None:
        try:
            run_job(job)
        except AttributeError as error:
            cause = error.__context__ or error
            executor._report_job_error_threadsafe(plugin.SubmittedJobInfo(job), f"Job submission failed: {cause}")

    executor.print_job_error, executor.run_job = print_with_message, run_or_report


def ask_for_memory_per_cpu() -> None:
    """Some clusters refuse `--mem`: the same memory as a share of each core.

    After the plugin, not as the jobs' own `mem_mb_per_cpu`: in a group Snakemake would add that up, like the cores.
    """
    import snakemake_executor_plugin_slurm as plugin

    get_submit_command = plugin.get_submit_command

    def with_memory_per_cpu(*arguments: Any, **named: Any) -> str:
        call: str = get_submit_command(*arguments, **named)
        memory, cores = MEMORY.search(call), CORES.search(call)
        if not (memory and cores):
            return call
        share = math.ceil(int(memory[1]) / int(cores[1]))  # a job has one task a node
        return call.replace(memory[0], f" --mem-per-cpu {share}", 1)

    plugin.get_submit_command = with_memory_per_cpu


def restart(workflow: Any) -> None:
    """Run the same command again in this process: what the earlier run's jobs have made is not to be made once more."""
    workflow.tear_down()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
