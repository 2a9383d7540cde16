"""`deepscaler status`: how far a run is (run_status.py), on one screen (status_screen.py), once or again and again."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from deepscaler.errors import UserError
from deepscaler.reporting.compute.run_status import read_status
from deepscaler.reporting.compute.status_screen import screen

if TYPE_CHECKING:
    from rich.console import Console

SECONDS = 10.0
"""Between two looks of `--watch`."""
HEIGHT = 23
"""Lines where no terminal says how many it has: the usual 24, with one for the prompt."""


def status(*, scale: str, console: "Console", whole: bool = False, watch: bool = False) -> None:
    """Print the status of a scale's training; `whole`: longer than a screen; `watch`: until Ctrl-C, on a terminal."""
    if watch and console.is_terminal:
        watching(scale, console, whole)
    else:
        console.print(screen(read_status(scale), console, None if whole else height_of(console)))


def watching(scale: str, console: "Console", whole: bool) -> None:
    """Show the status on the terminal's other screen, which leaves the first as it was."""
    from rich.live import Live

    found = read_status(scale)  # a scale that is none is refused before the screen is taken
    with suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(screen(found, console, None if whole else height_of(console)), refresh=True)
            time.sleep(SECONDS)
            with suppress(UserError, OSError):  # a file that is gone since it was listed: the next look tells
                found = read_status(scale)


def height_of(console: "Console") -> int:
    return max(HEIGHT, console.height - 1) if console.is_terminal else HEIGHT
