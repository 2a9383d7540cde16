"""The contents of a run that are equal to the byte in every run of one computer, as digests.

Everything below results/{scale} and {work}/{scale} is, but what says when, how long or how often: the ledger, the crate
and what quotes them. Of `training.csv` the seconds are left out, and its other columns held.
"""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

from deepscaler.files import sha256
from deepscaler.training.watch.measured import MEASURED
from deepscaler.training.watch.metrics import TIMES

OF_THEIR_RUN = (
    *("compute.csv", "claims.csv", "report.html", "so-far.html", "ro-crate-metadata.json", "source", "verify"),
    *("kept.yaml", "archive.json", "work"),
    *("checks.csv", "rehearsal.json", "go.txt"),
)
"""Files and folders of results/{scale} that speak of times: the ledger, claims about it, the page, the crate; verdicts,
which are drawn for when someone asks; what only an archive has; what a rehearsal has seen of speed and memory."""
WITHOUT_SECONDS = "training.csv"
TIME_COLUMNS = ("time", "seconds")
"""How the columns start that hold times; older tables have a `time`."""
UNFINISHED = ("runs", "preflight")
"""Folders of {work}/{scale} that no result is read from: logs, states, half-done work; a node's state."""


def digests(results: Path, work: Path | None = None) -> dict[str, str]:
    """File → SHA-256 of what must be equal, by names that are the same in every run."""
    return {str(name): digest(folder / name) for folder, name in held(results, work)}


def held(results: Path, work: Path | None) -> Iterator[tuple[Path, Path]]:
    """Each file as its folder and its name in there."""
    for folder, left_out in ((results, OF_THEIR_RUN), (work, UNFINISHED)):
        for path in sorted(folder.rglob("*")) if folder else ():
            name = path.relative_to(folder) if folder else path
            hidden = any(part.startswith(".") for part in name.parts)
            if (
                folder
                and path.is_file()
                and not hidden
                and name.parts[0] not in left_out
                and name.name not in (TIMES, MEASURED)
            ):
                yield folder, name


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of a table of training steps without its times."""
    return sha256(path) if path.name != WITHOUT_SECONDS else hashlib.sha256(untimed(path).encode()).hexdigest()


def untimed(path: Path) -> str:
    """The cells of a table but those of times."""
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle))
    kept = [index for index, column in enumerate(rows[0] if rows else []) if not column.startswith(TIME_COLUMNS)]
    return "\n".join(",".join(row[index] for index in kept) for row in rows)


def differences(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """Names of files that differ or are in one run only."""
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
