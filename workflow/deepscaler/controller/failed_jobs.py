"""What went wrong, for people: the failed jobs of a Snakemake run, each with its log and the log's last useful line."""

import re
from pathlib import Path

from deepscaler.job_log import last_useful_line

FAILED_JOB = re.compile(r"^Error in rule (\w+):\n((?:    .*\n|\n)*)", re.MULTILINE)
JOB_LOG = re.compile(r"^    log: (\S+?)(?:,| \(check)", re.MULTILINE)


def describe(*snakemake_logs: str | Path) -> list[str]:
    """A line for every job that Snakemake reports as failed in its own logs."""
    text = "".join(Path(log).read_text(encoding="utf-8", errors="replace") for log in snakemake_logs)
    lines: dict[str, None] = {}
    for rule, details in FAILED_JOB.findall(text):
        log = JOB_LOG.search(details)
        line = f"{rule} failed"
        if log:
            line += f": {last_useful_line(Path(log[1]))} (all of it: {log[1]})"
        lines[line] = None
    return list(lines)
