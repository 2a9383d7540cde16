"""What other programs write to this process's stdout and stderr goes to Snakemake's log while jobs run."""

import logging
import os
import sys
from pathlib import Path
from typing import TextIO


class Terminal:
    """The real stdout and stderr, kept while what others write is turned into a file."""

    def __init__(self) -> None:
        self.kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
        self.turned = False

    def stream(self, descriptor: int, encoding: str) -> TextIO:
        """A stream onto the real stdout (1) or stderr (2); what its encoding lacks becomes `?`."""
        return os.fdopen(os.dup(self.kept[descriptor]), "w", encoding=encoding, errors="replace", buffering=1)

    def turn_to(self, file: Path) -> None:
        """Append to `file` what is written to stdout and stderr, by this process and those that it starts."""
        flush()
        target = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        for descriptor in self.kept:
            os.dup2(target, descriptor)
        os.close(target)
        self.turned = True

    def give_back(self) -> None:
        """stdout and stderr are what they were."""
        if self.turned:
            flush()
            for descriptor, kept in self.kept.items():
                os.dup2(kept, descriptor)
            self.turned = False

    def close(self) -> None:
        self.give_back()
        for kept in self.kept.values():
            os.close(kept)
        self.kept = {}


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


def log_file() -> Path | None:
    """The file that Snakemake logs to."""
    from snakemake.logging import logger

    names = [handler.baseFilename for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
    return Path(names[0]) if names else None
