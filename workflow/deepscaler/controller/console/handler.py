"""From Snakemake's log records to the display."""

import logging
import sys
from typing import Any

from deepscaler.controller.console.display import Display, title_of
from deepscaler.controller.console.jobs import jobs_of, limits_of

SHOWN = (
    "Nothing to be done",
    "Will exit after",
    "Terminating processes",
    "Creating conda environment",
    "Environment for",
    "Pulling singularity image",
    "SLURM still has",
    "The earlier run's jobs",
    "Told to end",
)
"""How messages begin that people should see though they are no warnings; the others are in the log."""
DROPPED = (
    "Exiting because a job execution failed",
    "At least one job did not complete successfully",
    "Cancelling snakemake on user request",
    "Removing output files of failed job",
)
"""Warnings and errors that repeat what the display says itself."""
KEPT_ENDINGS = 100
active: "Handler | None" = None
"""The one that Snakemake has loaded, if its profile names the plugin."""


class Handler:
    """Takes Snakemake's records one by one."""

    def __init__(self, display: Display) -> None:
        global active
        self.display = display
        self.endings: list[str] = []
        """What Snakemake said of commands that failed: an error of its own, before the job's."""
        self.in_group: dict[int, str] = {}
        """Job → what was said of its group: the group's error comes first, then each job's."""
        active = self

    def begin(self, workflow: Any) -> None:
        jobs = jobs_of(workflow)
        if jobs:
            targets = workflow.dag.targetrules or workflow.dag.targetfiles
            self.display.begin(jobs, limits_of(workflow), title_of(targets))

    def close(self) -> None:
        self.display.close()

    def handle(self, record: logging.LogRecord) -> None:
        event = str(getattr(record, "event", None) or "")
        take = getattr(self, f"on_{event}", None)
        if take:
            take(record)
        elif not event:
            self.on_message(record)

    def on_job_info(self, record: Any) -> None:
        """A job is started or submitted; of a group, each of its jobs."""
        self.display.started([record.jobid])

    def on_job_finished(self, record: Any) -> None:
        self.display.finished(record.job_id)

    def on_error(self, record: Any) -> None:
        if record.exception == "RuleException" and "CalledProcessError" in record.getMessage():
            self.endings = [*self.endings[-KEPT_ENDINGS:], record.getMessage()]
        elif record.exception == "KeyboardInterrupt" or "user request" in record.getMessage():
            self.display.interrupted = True
        else:
            self.on_message(record)

    def on_group_error(self, record: Any) -> None:
        said = str(getattr(record, "msg", ""))
        for job in record.job_error_info:
            self.in_group[job["jobid"]] = said
        self.display.failed_group(
            record.groupid, [job["jobid"] for job in record.job_error_info], record.aux_logs, said
        )

    def on_job_error(self, record: Any) -> None:
        if self.in_group.pop(record.jobid, None) is not None:
            return
        said = [str(record.rule_msg)] if record.rule_msg else []
        said += [text for text in self.endings if record.shellcmd and record.shellcmd in text]
        self.display.failed(record.jobid, record.rule_name, list(record.log), "\n".join(said))

    def on_message(self, record: logging.LogRecord) -> None:
        text = record.getMessage().strip().removeprefix("WorkflowError:\n")
        if not text or text == "None" or text.startswith(DROPPED):
            return
        if text.startswith("Terminating processes"):
            self.display.interrupted = True
        if text.startswith("Nothing to be done"):
            self.display.note("Nothing to be done: everything that was asked for is there and up to date.", "green")
        elif record.levelno >= logging.ERROR:
            self.display.note(text, "red")
        elif record.levelno >= logging.WARNING:
            self.display.note(text, "yellow")
        elif text.startswith(SHOWN):
            self.display.note(" ".join(text.split()))


def begin(workflow: Any) -> None:
    """What the Snakefile calls before the first job starts; nothing where Snakemake prints by itself."""
    if active:
        active.begin(workflow)


def say(text: str) -> None:
    """At the end of a run: into the log, and for people, on the console that has kept what others print from them."""
    print(text, file=sys.stderr)
    if active:
        active.display.note(text)
