"""Replies of a language model on disk, found again by the content of the request, and what they cost.

One file of JSON lines a job, only ever appended to, each line synced: a kill loses nothing, and of a torn last line
only that reply is asked for again. Tries that failed but may have been charged are lines too, so that a budget holds
over reruns.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepscaler.errors import JobError


@dataclass
class Replies:
    """The file, read when made."""

    path: Path
    texts: dict[str, str] = field(default_factory=dict)
    """Key of a request → its reply."""
    requests: int = 0
    dollars: float = 0.0

    def __post_init__(self) -> None:
        torn = False
        if self.path.exists():
            with self.path.open("rb") as handle:
                for line in handle:
                    torn = not line.endswith(b"\n")
                    self.take(line)
        if torn:
            self.append_bytes(b"\n")

    def take(self, line: bytes) -> None:
        """Learn from one line; a torn one says nothing."""
        try:
            record = json.loads(line)
            key, text, dollars = str(record["key"]), record["text"], float(record["dollars"])
        except (ValueError, KeyError, TypeError):
            return
        self.requests += 1
        self.dollars += dollars
        if isinstance(text, str):
            self.texts[key] = text

    def add(self, key: str, text: str | None, dollars: float, **about: Any) -> None:
        """Keep a reply, or (`text` None) a try that had none but may have cost."""
        line = json.dumps({"key": key, "text": text, "dollars": dollars, **about}, ensure_ascii=True)
        self.append_bytes(line.encode() + b"\n")
        self.take(line.encode())

    def append_bytes(self, line: bytes) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise JobError(f"could not keep a reply: {error}", self.path) from None
