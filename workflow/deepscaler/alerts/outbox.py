"""The events of a scale that are to be told: {work}/{scale}/alerts/NAME.json, and NAME.N.sent once address N has it.

An event is there once by its name, also after a job is run again and with two processes at a time.
"""

import json
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deepscaler.errors import UserError
from deepscaler.files import read_json
from deepscaler.redaction import redacted
from deepscaler.settings.load import site
from deepscaler.settings.yaml_files import run_root

UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST = 2000
"""Characters of a text: chats refuse longer ones."""


@dataclass(frozen=True)
class Event:
    name: str
    title: str
    text: str


def folder_of(scale_name: str) -> Path:
    return run_root() / site().work / scale_name / "alerts"


def put(folder: Path, event: Event) -> bool:
    """Write an event, whole or not at all; False where one of its name is there already."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"{UNSAFE_IN_NAMES.sub('-', event.name)[:150]}.json"
    if target.exists():
        return False
    descriptor, aside = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            json.dump({"title": cleared(event.title), "text": cleared(event.text)}, handle)
        os.link(aside, target)  # unlike a rename it fails where the other process was first
    except FileExistsError:
        return False
    finally:
        Path(aside).unlink()
    return True


def cleared(text: str) -> str:
    """Without secrets, and not too long."""
    return redacted(text)[:LONGEST]


def pending(folder: Path, addresses: int) -> list[tuple[Event, list[int]]]:
    """Events that are not at all addresses, the oldest first, with the numbers (from 1) of those that lack them."""
    found: list[tuple[float, Event, list[int]]] = []
    for path in folder.glob("[!.]*.json"):
        lacking = [number for number in range(1, addresses + 1) if not sent_mark(folder, path.stem, number).exists()]
        if lacking:
            with suppress(OSError, UserError, KeyError, TypeError):
                content = read_json(path)
                event = Event(path.stem, str(content["title"]), str(content["text"]))
                found.append((path.stat().st_mtime, event, lacking))
    return [(event, lacking) for _, event, lacking in sorted(found, key=lambda one: (one[0], one[1].name))]


def sent_mark(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}.{number}.sent"
