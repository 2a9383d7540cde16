"""Replies of a language model on disk, found again by the content of the request, and what they cost.

One file of JSON lines a job, its owner's alone, only ever appended to, each line synced: a kill loses nothing but an
incomplete last line, whose reply is asked for again. Before a request its highest price is written, after it what it
cost; tries that failed but may have been charged are lines too. So a budget holds over reruns and kills: requests
without a reply at a kill count as paid.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepscaler.errors import JobError
from deepscaler.redaction import redacted


@dataclass
class Replies:
    """The file, read when made."""

    path: Path
    secret: str | None = None
    """The key that is sent with each request; a server that sends it back does not get it into the file."""
    texts: dict[str, str] = field(default_factory=dict)
    """Key of a request → its reply."""
    requests: int = 0
    """Sent so far, also those that are on their way."""
    dollars: float = 0.0
    """Paid so far, and the highest price of what is on its way."""
    open: dict[str, list[float]] = field(default_factory=dict)
    """Key → the prices of its requests that have no end yet."""

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
        """Take over one line of the file; an incomplete one is ignored."""
        try:
            record = json.loads(line)
            key, text, dollars = str(record["key"]), record["text"], float(record["dollars"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        self.dollars += dollars
        if record.get("asked"):
            self.requests += 1
            self.open.setdefault(key, []).append(dollars)
            return
        if prices := self.open.get(key):
            self.dollars -= prices.pop()
        if isinstance(text, str):
            self.texts[key] = text

    def ask(self, key: str, price: float) -> None:
        """Note that a request is about to be sent, and what it may cost at most."""
        self.append({"key": key, "text": None, "dollars": price, "asked": True})

    def add(self, key: str, text: str | None, dollars: float, **about: Any) -> None:
        """Keep a request's reply, or (`text` None) that it had none, and what it cost."""
        self.append({"key": key, "text": text, "dollars": dollars, **about})

    def append(self, record: dict[str, Any]) -> None:
        line = json.dumps({name: self.clean(value) for name, value in record.items()}, ensure_ascii=True).encode()
        self.append_bytes(line + b"\n")
        self.take(line)

    def clean(self, value: Any) -> Any:
        return redacted(value, self.secret) if isinstance(value, str) else value

    def append_bytes(self, line: bytes) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise JobError(f"could not keep a reply: {error}", self.path) from None
