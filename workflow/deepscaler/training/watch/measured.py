"""What each phase of a segment's training took, noted by every process that trains as the phase ends.

    {"phase": "update", "rank": 0, "host": "node1", "time": 1764541200.5, "seconds": 48.2, "peak_gb": 43.9}

`peak_gb` is the most that the phase held: of a GPU, the whole card's, with what vLLM has of it; where there is no GPU,
of the process. In the run folder each process has a file of its own, since lines that several nodes append to one file
of a file server get lost; beside a checkpoint they are one file. It is of its run alone, as times are. A line that a
kill or a full disk cut is passed over, and a phase that cannot be noted is not: neither may end a run.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from deepscaler.files import lines_of

MEASURED = "measured.jsonl"
"""Beside a checkpoint."""
FOLDER = "measured"
"""In a run folder."""
START, LOAD, ROLLOUTS, LOG_PROBABILITIES, UPDATE, SYNC, SAVE, EXPORT = PHASES = (
    *("start", "load", "rollouts", "log-probabilities"),
    *("update", "sync", "save", "export"),
)
"""Start: from a launch to its first step. Rollouts: while the process that trains waits for them."""
LAUNCH = -1
"""The rank of the process that launches the others."""


@dataclass(frozen=True)
class Phase:
    phase: str
    rank: int
    host: str
    time: float
    """When it ended, in seconds since the epoch."""
    seconds: float
    peak_gb: float | None


def append_phase(folder: Path, phase: Phase) -> None:
    """Add a line to the process's own file, where there is room for one."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{phase.host}-{phase.rank}.jsonl").open("a", encoding="utf-8") as handle:
            handle.write("\n" + json.dumps(asdict(phase)) + "\n")  # a line of its own, whatever was cut before it


def read_phases(path: Path) -> Iterator[Phase]:
    """The phases of a run folder's `measured/`, or of one file; nothing where there is none."""
    for file in sorted(path.glob("*.jsonl")) if path.is_dir() else [path] if path.exists() else []:
        for line in lines_of(file):
            with contextlib.suppress(ValueError, TypeError):
                yield Phase(**json.loads(line))
