"""What went wrong, for people: the failed jobs of a Snakemake run, each with its log and the log's last useful line."""

import re
from collections.abc import Iterator
from pathlib import Path

from deepscaler.controller.slurm_failures import failed_groups, refusal
from deepscaler.job_log import last_useful_line, told_to_end

FAILED_JOB = re.compile(
    r"^Error in rule (\w+):\n((?:    message: (?:.*\n)+?(?=    jobid: ))?(?:    .*\n|\n)*)", re.MULTILINE
)
"""A message may have lines of its own, such as a whole script."""
JOB_LOG = re.compile(r"^    log: (\S+?)(?:,| \(check)", re.MULTILINE)


def describe(*snakemake_logs: str | Path) -> list[str]:
    """A line for every job that Snakemake reports as failed in its own logs."""
    text = "".join(map(text_of, snakemake_logs))
    lines: dict[str, None] = {}
    for rule, details in FAILED_JOB.findall(text):
        log = JOB_LOG.search(details)
        line = f"{rule} failed"
        if refused := refusal(details):
            line += f": {refused}"
        elif log:
            last = last_useful_line(Path(log[1]))
            told = told_to_end(last)
            line = f"{rule} was {told}" if told else f"{line}: {last} (all of it: {log[1]})"
        lines[line] = None
    return list(lines | dict.fromkeys(describe_groups(text)))


def describe_groups(text: str) -> Iterator[str]:
    """A line for every job that failed in a group, or for the group where none of its jobs did."""
    for group in failed_groups(text):
        jobs = describe(group.log) if group.log else []
        yield from (f"{job}, in group {group.name}" for job in jobs)
        if not jobs:
            where = f" (all of it: {group.log})" if group.log else ""
            yield f"group {group.name} failed: {group.reason}{where}"


def text_of(log: str | Path) -> str:
    try:
        return Path(log).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
