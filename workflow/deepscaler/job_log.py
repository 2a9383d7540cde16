"""The one line of a failed job's log that names the cause."""

import re
from pathlib import Path

from deepscaler.text import printable

TAIL_BYTES = 4 << 20
LONGEST = 400
"""Characters of a log's line."""
LINE_BREAKS = re.compile(r"[\r\n]+")
COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
WORKER = re.compile(r"^(?:\([^()]*pid=\d+[^()]*\)\s?)+")
NOISE = re.compile(r'^(\[?\d{4}-\d\d-\d\d .*(INFO|DEBUG)|\S+:\s+\d+%\||Fatal Python error|Extension modules:|File ")')
EXCEPTION = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception|Interrupt|Exit|Killed|Timeout))(?::\s|\s*$)")
CONSEQUENCES = (
    "RayTaskError",
    "ActorDiedError",
    "RayActorError",
    "ActorUnavailableError",
    "WorkerCrashedError",
    "OwnerDiedError",
    "ObjectLostError",
    "EngineDeadError",
    "CancelledError",
    "KeyboardInterrupt",
    "SystemExit",
)
"""Exceptions that report another one, raised elsewhere."""
STEP = "✨ Global step"
"""OpenRLHF's line for a finished step: exceptions before it did not end the run."""
OWN_ERROR = "deepscaler: "
"""How an error line of this package's own commands begins."""


def last_useful_line(log: Path) -> str:
    """The line of a log that names the cause of the failure.

    An error of this package's own commands, where the log ends with one; else the first exception after the last
    finished step that is not the consequence of another; else the last line that is neither a progress bar nor an
    engine's chatter.
    """
    everything = tail(log)
    if not everything:
        return "its log is empty"
    lines = [line for line in everything if not NOISE.match(line)] or everything
    if lines[-1].startswith(OWN_ERROR):
        return lines[-1][:LONGEST]
    last_step = max((number for number, line in enumerate(lines) if STEP in line), default=-1)
    consequence = None
    for line in lines[last_step + 1 :]:
        found = EXCEPTION.match(line)
        if not found:
            continue
        if found[1] not in CONSEQUENCES and "See root cause above" not in line:
            return line[:LONGEST]
        consequence = consequence or line[:LONGEST]
    return consequence or lines[-1][:LONGEST]


def tail(log: Path) -> list[str]:
    """The log's last lines, without colours and the names that Ray puts before a worker's line."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = handle.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = (WORKER.sub("", COLOUR.sub("", line)).strip() for line in LINE_BREAKS.split(text))
    return [printable(line) for line in lines if line]
