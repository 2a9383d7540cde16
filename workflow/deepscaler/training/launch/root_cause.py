"""What went wrong in a launch, told from its log: the exception that started it, not the ones that followed."""

import re
from pathlib import Path

TAIL_BYTES = 4 << 20
COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
WORKER = re.compile(r"^(?:\([^()]*pid=\d+[^()]*\)\s?)+")
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
"""Exceptions that tell of another one elsewhere."""
STEP = "✨ Global step"


def last_useful_line(log: Path) -> str:
    """The first exception after the last finished step that is no mere consequence, else the last line."""
    lines = tail(log)
    if not lines:
        return "its log is empty"
    last_step = max((number for number, line in enumerate(lines) if STEP in line), default=-1)
    since = lines[last_step + 1 :]
    consequence = None
    for line in since:
        found = EXCEPTION.match(line)
        if not found:
            continue
        if found[1] not in CONSEQUENCES and "See root cause above" not in line:
            return line[:400]
        consequence = consequence or line[:400]
    return consequence or lines[-1][:400]


def tail(log: Path) -> list[str]:
    """The log's last lines, without colours and the names that Ray puts before a worker's line."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = handle.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    lines = (WORKER.sub("", COLOUR.sub("", line)).strip() for line in re.split(r"[\r\n]+", text))
    return [line for line in lines if line]
