"""Progress of long work: a bar in a terminal, a line every few seconds in a log."""

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm

LINE = "{desc}: {n_fmt}/{total_fmt} {unit} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


class Lines:
    """A text stream on which a redrawn bar becomes a line of its own, for logs."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        line = text.strip("\r\n\x1b[A ")
        return self.stream.write(f"{line}\n") if line else 0

    def flush(self) -> None:
        self.stream.flush()


def progress(
    items: Iterable[Any] | None = None, *, total: float | None = None, what: str = "", unit: str = "it"
) -> "tqdm[Any]":
    """A tqdm bar that also reads well in a log file: there it prints a line every ten seconds at most."""
    terminal = sys.stderr.isatty()
    return tqdm(
        items,
        total=total,
        desc=what,
        unit=unit,
        file=sys.stderr if terminal else Lines(sys.stderr),
        mininterval=0.2 if terminal else 10,
        bar_format=None if terminal else LINE,
        dynamic_ncols=terminal,
    )
