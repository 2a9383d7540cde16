"""Jobs that SLURM, or a person, told to end: they are submitted again, and none of Snakemake's `retries` is spent.

    preempted                     always, whatever the job is: SLURM ended it for another's sake
    a segment that left a note    where it came further than it had begun: it was told to end, by scancel or before the
                                  wall time was over, and saved (training/run/stop_request.py)

Where Snakemake itself is told to end, jobs that train are told too, and nothing is submitted any more.

A job goes to SLURM as a new one, since a site may let nothing be requeued, and where SLURM requeues by itself two of a
kind could run. Whatever else ended a job is a failure, as is a segment that comes no further.

What is used of the SLURM plugin's internals: the names of its executor's methods that are replaced here, and the pool
in which it submits.
"""

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepscaler.controller import stale_locks
from deepscaler.controller.slurm_requests import SECONDS
from deepscaler.settings import site
from deepscaler.training.launch import reaper
from deepscaler.training.run import stop_request

TRAINING = "train_segment"
OUTLIVE_SIGTERM = "trap : TERM"
"""In the scripts of a job and of its step. SLURM sends SIGTERM to all processes; were a script's shell to end by it,
SLURM would kill the others."""


def go_on(executor: Any) -> None:
    """Let the plugin's executor submit again what was told to end, and tell training to end where Snakemake is."""
    preempted: set[str] = set()
    note_preempted_jobs(executor, preempted)
    outlive_sigterm(executor)
    submit_again(executor, preempted)
    end_training_with_its_step(executor)


def note_preempted_jobs(executor: Any, preempted: set[str]) -> None:
    """Let a job that SLURM ended for another one count as ended.

    The plugin leaves such a job to SLURM's requeuing. Where that is off, as in our profile, nobody starts it again, and
    Snakemake would wait for it for ever.
    """
    import snakemake_executor_plugin_slurm as plugin

    if not getattr(executor.workflow.executor_settings, "no_requeue", False):
        return
    query_job_status = plugin.query_job_status

    async def with_preempted_as_cancelled(*arguments: Any, **named: Any) -> Any:
        states, seconds = await query_job_status(*arguments, **named)
        if states is None:
            return None, seconds
        preempted.update(job for job, state in states.items() if state == "PREEMPTED")
        return {job: "CANCELLED" if state == "PREEMPTED" else state for job, state in states.items()}, seconds

    plugin.query_job_status = with_preempted_as_cancelled


def outlive_sigterm(executor: Any) -> None:
    """Of the scripts that an executor, or all of a class, write."""
    format_job_exec = executor.format_job_exec
    executor.format_job_exec = lambda *arguments: f"{OUTLIVE_SIGTERM}\n{format_job_exec(*arguments)}"


def outlive_sigterm_in_step() -> None:
    """In the Snakemake of a job of SLURM, which starts the job's step."""
    with suppress(ImportError):
        import snakemake_executor_plugin_slurm_jobstep as plugin

        outlive_sigterm(plugin.Executor)


def submit_again(executor: Any, preempted: set[str]) -> None:
    from snakemake.logging import logger

    report_job_error = executor.report_job_error

    def report_or_submit(job_info: Any, msg: str | None = None, **others: Any) -> None:
        why = why_again(job_info.job, job_info.external_jobid, preempted)
        if why is None or is_ending(executor):
            report_job_error(job_info, msg, **others)
            return
        logger.info(f"Told to end: SLURM job {job_info.external_jobid} ({job_info.job.name}) {why}: submitted again")
        executor._job_submission_executor.submit(executor.run_job, job_info.job)

    executor.report_job_error = report_or_submit


def why_again(job: Any, number: str | None, preempted: set[str]) -> str | None:
    """Why a job that has ended is no failure; None where it is one."""
    if number is None:
        return None
    told = None if job.is_group() or job.name != TRAINING else note_of(job, number)
    step = f"; it goes on after step {told.saved}" if told else ""
    if number in preempted:
        return f"made way for another{step}"
    return f"ended by {told.reason}{step}" if told and told.came_further else None


def note_of(job: Any, number: str) -> stop_request.Told | None:
    return stop_request.take_note(Path(site().work, job.wildcards.scale, "runs"), number)


def is_ending(executor: Any) -> bool:
    """Whether Snakemake itself has been told to end: nothing is submitted then."""
    return bool(executor.workflow.scheduler._user_kill) or getattr(executor, "cancelled", False)


def end_training_with_its_step(executor: Any) -> None:
    """At Ctrl-C, cancel the other jobs, and have those that train end by themselves when their step is saved."""
    from snakemake.logging import logger

    cancel_jobs = executor.cancel_jobs

    def cancel(active_jobs: Iterable[Any]) -> None:
        executor.cancelled = True
        others = []
        for job_info in active_jobs:
            number = job_info.external_jobid
            if number and job_info.job.name == TRAINING and tell(number):
                logger.warning(f"SLURM job {number} ends when its step is saved; `scancel {number}` ends it at once")
            else:
                others.append(job_info)
        cancel_jobs(others)

    executor.cancel_jobs = cancel


def tell(number: str) -> bool:
    """Send SIGTERM to what runs under srun in a job, as at a preemption; whether the job runs.

    With `--full` the job's own shell and commands would get it too, and srun kills its tasks at once then.
    """
    command = ["scancel", "--signal=TERM", "--state=RUNNING", "--verbose", number]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.returncode == 0 and "Signal" in answer.stderr


def pass_on_sigterm() -> None:
    """On this computer: where Snakemake is sent SIGTERM, it waits for the jobs at work; have those that train end soon.

    To be called when the jobs carry their run's token (controller/orphans.py).
    """
    before = signal.getsignal(signal.SIGTERM)

    def handle(number: int, frame: Any) -> None:
        for pid in training_here(os.environ.get(stale_locks.RUN, "")):
            with suppress(OSError):
                os.kill(pid, signal.SIGTERM)
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, handle)


def training_here(token: str) -> list[int]:
    """The processes of this run, on this computer, that are the verb itself; what they started is theirs to end."""
    found = []
    for pid in reaper.carriers(token, stale_locks.RUN) if token else []:
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if TRAINING.encode() in words[1:3]:
                found.append(pid)
    return found
