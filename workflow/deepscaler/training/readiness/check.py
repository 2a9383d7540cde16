"""One line of preflight's list."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Check:
    level: Level
    what: str
    hint: str = ""

    def __str__(self) -> str:
        label = {"ok": "  ok     ", "note": "  note   ", "missing": "  MISSING"}[self.level]
        return f"{label} {self.what}{f' ({self.hint})' if self.hint else ''}"
