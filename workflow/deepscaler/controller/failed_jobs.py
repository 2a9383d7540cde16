"""What went wrong, for people: the failed jobs of a Snakemake run, each with its log and the log's last useful line."""

import re
from pathlib import Path

TAIL = 64 * 1024
NOISE = re.compile(r"^(\[?\d{4}-\d\d-\d\d .*(INFO|DEBUG)|\S+:\s+\d+%\||Fatal Python error|Extension modules:|  File )")
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
            line += f": {last_useful_line(Path(log[1])) or 'its log is empty'} (all of it: {log[1]})"
        lines[line] = None
    return list(lines)


def last_useful_line(log: Path) -> str:
    """The last line of a log that is neither a progress bar nor chatter; "" where there is none."""
    try:
        with log.open("rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - TAIL))
            tail = handle.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = [part.strip() for line in tail.splitlines() for part in line.split("\r")[-1:]]
    return next((line[:400] for line in reversed(lines) if line and not NOISE.match(line)), "")
