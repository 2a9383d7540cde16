"""Lines at a terminal's end that are redrawn in place, below lines that stay.

The cursor is never hidden and no mode of the terminal is changed: whatever ends this process, the terminal is sane.
"""

import math
import os
from collections.abc import Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.text import Text

CLEAR_LINE, CLEAR_BELOW = "\x1b[K", "\x1b[J"


class Region:
    """Draws its lines over those that it drew before, in one write."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.widths: list[int] = []
        """Of the lines that stand there."""

    def draw(self, lines: Sequence[str], above: str = "") -> None:
        """Put `above`, which stays, and then `lines`, each narrower than the terminal, in place of the lines drawn."""
        text = self.to_start() + (CLEAR_BELOW + above if above else "")
        text += f"{CLEAR_LINE}\n".join(lines) + CLEAR_BELOW
        self.widths = [cell_len(Text.from_ansi(line).plain) for line in lines]
        self.stream.write(text)
        self.stream.flush()

    def to_start(self) -> str:
        """The codes that bring the cursor to the region's start; a narrower terminal has wrapped its lines since."""
        columns = size(self.stream)[0]
        rows = sum(max(1, math.ceil(width / columns)) for width in self.widths)
        return ("\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "")) if self.widths else ""

    def clear(self, above: str = "") -> None:
        self.draw([], above)


def size(stream: TextIO) -> tuple[int, int]:
    """Columns and lines of the terminal that a stream goes to, now; 80 and 24 where it does not say."""
    try:
        found = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    return max(found.columns or 80, 10), max(found.lines or 24, 3)
