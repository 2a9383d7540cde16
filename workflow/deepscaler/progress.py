"""Progress of long work: a bar in a terminal, a line every few seconds in a log."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


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
        file=sys.stderr,
        mininterval=0.2 if terminal else 10,
        ascii=not terminal,
        dynamic_ncols=terminal,
    )
