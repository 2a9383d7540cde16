"""Progress of long work: a bar in a terminal, in a log a line every second at first and every ten seconds later.

The console reads these lines (deepscaler.controller.console.log_progress).
"""

import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm

LINE = "{desc}: {n_fmt}/{total_fmt} {unit} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
OFTEN, SELDOM = 1.0, 10.0
"""Seconds between a log's lines: at first, and after some minutes."""
PATIENCE = 20
"""A line is due after this fraction of the time that has passed: a short job shows, a long one fills no log."""


class Lines:
    """A text stream on which a redrawn bar becomes a line of its own, for logs; the last one is always printed."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.began = time.monotonic()
        self.last: float | None = None
        self.held = ""

    def write(self, text: str) -> int:
        line, now = text.strip("\r\n\x1b[A "), time.monotonic()
        if not line:  # the bar has ended
            line, self.held = self.held, ""
        elif self.last is not None and now - self.last < min(SELDOM, max(OFTEN, (now - self.began) / PATIENCE)):
            self.held = line
            return 0
        if line:
            self.last, self.held = now, ""
            return self.stream.write(f"{line}\n")
        return 0

    def flush(self) -> None:
        self.stream.flush()


class Bar(tqdm):
    """tqdm's bar, which also reads well in a log. For code of others that takes a class of bars."""

    def __init__(self, *items: Any, **given: Any) -> None:
        if not sys.stderr.isatty():
            given |= {"file": Lines(sys.stderr), "mininterval": OFTEN / 2, "bar_format": LINE, "dynamic_ncols": False}
        super().__init__(*items, **given)


class BytesBar(Bar):
    """For the hub's client, which counts three things at once: the bytes that have arrived are shown."""

    def __init__(self, *items: Any, **given: Any) -> None:
        shown = str(given.get("desc")).startswith("Downloading")
        super().__init__(*items, **{**given, "disable": not shown, "desc": "downloading"})

    def __del__(self) -> None:
        """Print nothing: the client leaves its bars open, and a log must end with its error."""


def progress(
    items: Iterable[Any] | None = None, *, total: float | None = None, what: str = "", unit: str = "it"
) -> "tqdm[Any]":
    """A tqdm bar that also reads well in a log file."""
    return Bar(items, total=total, desc=what, unit=unit, mininterval=0.2, dynamic_ncols=True)
