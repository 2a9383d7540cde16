"""DeepSpeed's saved states of a segment: which are whole, which one to go on from, which to drop.

    {folder}/_actor/global_step{N}/   a state; `complete.json` is written last, with every file's size
    {folder}/_actor/latest            the name of the state that DeepSpeed loads

A kill or a full disk can leave a state half-written, or `latest` without its state. So what counts as a state is one
whose files all have their recorded size and, being zip archives, their directory at the end.
"""

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from deepscaler.files import link, remove, write_json, write_text

MARKER = "complete.json"
PREFIX = "global_step"


@dataclass(frozen=True)
class State:
    """One saved state."""

    folder: Path
    step: int

    @classmethod
    def at(cls, path: Path, step: int) -> "State":
        """The state of a step below OpenRLHF's `--ckpt.path`."""
        return cls(path / "_actor" / f"{PREFIX}{step}", step)

    def mark_complete(self, ranks: int, zero_stage: int) -> None:
        """Record that all ranks have written all files."""
        sizes = {path.name: path.stat().st_size for path in sorted(self.folder.iterdir()) if path.name != MARKER}
        write_json(self.folder / MARKER, {"step": self.step, "ranks": ranks, "zero_stage": zero_stage, "files": sizes})

    def defect(self) -> str | None:
        """Why the state cannot be loaded, or None."""
        try:
            files = json.loads((self.folder / MARKER).read_text(encoding="utf-8"))["files"]
        except FileNotFoundError:
            return "was not written to its end"
        except (OSError, ValueError, KeyError):
            return f"has an unreadable {MARKER}"
        for name, size in files.items():
            path = self.folder / name
            if not path.exists():
                return f"lacks {name}"
            if path.stat().st_size != size:
                return f"has {name} with {path.stat().st_size} bytes of {size}"
            if path.suffix == ".pt" and not zipfile.is_zipfile(path):
                return f"has a damaged {name}"
        return None

    def layout(self) -> tuple[int, int]:
        """The number of GPUs and the ZeRO stage that wrote it, and alone can load it."""
        marker = json.loads((self.folder / MARKER).read_text(encoding="utf-8"))
        return marker["ranks"], marker["zero_stage"]

    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def states_in(path: Path) -> list[State]:
    """All states below `--ckpt.path`, whole or not, oldest first."""
    found = []
    for folder in (path / "_actor").glob(f"{PREFIX}*"):
        digits = folder.name.removeprefix(PREFIX)
        if folder.is_dir() and digits.isdigit():
            found.append(State(folder, int(digits)))
    return sorted(found, key=lambda state: state.step)


def drop_broken(path: Path, first: int, last: int) -> list[str]:
    """Remove every state that is not whole or not of steps first … last; returns a line for each.

    They must go: upstream's rotation counts them, and would delete the last good state to make room.
    """
    messages = []
    for state in states_in(path):
        defect = state.defect() or (None if first <= state.step <= last else "is of another segment")
        if defect:
            messages.append(f"the state of step {state.step} {defect}; removed")
            remove(state.folder)
    return messages


def choose_state(path: Path) -> State | None:
    """The newest state, which `latest` names from then on; None where training starts at the stage's beginning.

    All states below `path` must be whole (`drop_broken`).
    """
    states = states_in(path)
    if not states:
        remove(path / "_actor")  # upstream would try to load what else is there
        return None
    write_text(path / "_actor" / "latest", states[-1].folder.name)
    return states[-1]


def adopt(state: State, path: Path) -> State:
    """Put a state of another folder below `path` too, without copying its data."""
    target = State.at(path, state.step)
    if not target.folder.exists():
        target.folder.parent.mkdir(parents=True, exist_ok=True)
        aside = target.folder.with_name(f".{target.folder.name}.part")
        remove(aside)
        shutil.copytree(state.folder, aside, copy_function=link)
        aside.replace(target.folder)
    return target
