"""DeepSpeed's saved states of a segment: which are whole, which one to go on from, which to drop.

    {folder}/_actor/global_step{N}/   a state; `complete.json` is written last, with every file's size and SHA-256
    {folder}/_actor/latest            the name of the state that DeepSpeed loads

A kill or a full disk can leave a state half-written, or `latest` without its state. So what counts as a state is one
whose files all have their recorded size and, being zip archives, their directory at the end.

DeepSpeed unpickles what it loads, which runs what is in it. So before a state is loaded its files must have their
recorded SHA-256, and be nobody else's: whoever can write to them could run commands here. Who hands over a whole folder
can also write the digests: SECURITY.md.
"""

import json
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepscaler.errors import UserError
from deepscaler.files import OTHERS_WRITE, link, remove, sha256, write_json, write_text

MARKER = "complete.json"
PREFIX = "global_step"
LATEST = "latest"


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
        """Record that all ranks have written all files, and what they wrote."""
        paths = sorted(path for path in self.folder.glob("[!.]*") if path.name != MARKER)
        for path in (*self.folder.parents[:2], self.folder, *paths):
            take_write_from_others(path)  # a folder's access list counts for more than the umask
        files = {path.name: {"bytes": path.stat().st_size, "sha256": digest} for path, digest in digests_of(paths)}
        write_json(self.folder / MARKER, {"step": self.step, "ranks": ranks, "zero_stage": zero_stage, "files": files})
        take_write_from_others(self.folder / MARKER)

    def defect(self) -> str | None:
        """Why the state cannot be loaded, as far as names and sizes show, or None. UserError without digests."""
        try:
            sizes = {name: file["bytes"] for name, file in self.files().items()}
        except FileNotFoundError:
            return "was not written to its end"
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return f"has an unreadable {MARKER}"
        for path in self.folder.glob("[!.]*"):  # a file server may keep hidden ones
            if path.name not in sizes and path.name != MARKER:
                return f"has {path.name}, which was not saved with it"
        for name, size in sizes.items():
            path = self.folder / name
            if not path.exists():
                return f"lacks {name}"
            if path.stat().st_size != size:
                return f"has {name} with {path.stat().st_size} bytes of {size}"
            if path.suffix == ".pt" and not zipfile.is_zipfile(path):
                return f"has a damaged {name}"
        return None

    def change(self) -> str | None:
        """Which file does not hold what was saved, or None. Reads everything: seconds for each 10 GB."""
        files = self.files()
        for path, digest in digests_of([self.folder / name for name in sorted(files)]):
            if digest != files[path.name]["sha256"]:
                return f"has another {path.name} than was saved"
        return None

    def files(self) -> dict[str, dict[str, Any]]:
        """File name → its `bytes` and `sha256`."""
        files: dict[str, dict[str, Any]] = json.loads((self.folder / MARKER).read_text(encoding="utf-8"))["files"]
        if any(isinstance(file, int) for file in files.values()):  # a size alone
            raise UserError(
                "this state has no digests, since an earlier version saved it: it is neither loaded nor removed",
                self.folder,
                "go on with the version that saved it, or delete the folder to start the segment anew",
            )
        return files

    def layout(self) -> tuple[int, int]:
        """The number of GPUs and the ZeRO stage that wrote it, and alone can load it."""
        marker = json.loads((self.folder / MARKER).read_text(encoding="utf-8"))
        return marker["ranks"], marker["zero_stage"]

    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def digests_of(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    """Each file with its SHA-256, on several cores: a state is tens of gigabytes."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from zip(paths, pool.map(sha256, paths), strict=True)


def refuse_others(path: Path) -> None:
    """UserError where something below `path` is another user's, can be written by others, or is a link."""
    if not path.exists():
        return
    with tempfile.TemporaryFile(dir=path) as own:
        owners = {os.geteuid(), os.fstat(own.fileno()).st_uid}  # they differ where a file server maps root
    latest = path / "_actor" / LATEST  # written anew before anything is loaded
    for entry in (path, *(entry for entry in path.rglob("*") if entry != latest)):
        status = entry.lstat()
        if status.st_uid in owners and not stat.S_ISLNK(status.st_mode) and not status.st_mode & OTHERS_WRITE:
            continue
        raise UserError(
            "a state that others can write to is not loaded: DeepSpeed would run what they put into it",
            entry,
            f"where you trust them: chmod -R go-w {path}; else delete the folder to start the segment anew",
        )


def take_write_from_others(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OTHERS_WRITE:
        path.chmod(mode & ~OTHERS_WRITE)


def states_in(path: Path) -> list[State]:
    """All states below `--ckpt.path`, whole or not, oldest first."""
    found = []
    for folder in (path / "_actor").glob(f"{PREFIX}*"):
        digits = folder.name.removeprefix(PREFIX)
        if folder.is_dir() and digits.isdigit():
            found.append(State(folder, int(digits)))
    return sorted(found, key=lambda state: state.step)


def drop_broken(path: Path, first: int, last: int, *, read: bool = False) -> list[str]:
    """Remove every state that is not whole or not of steps first … last; returns a line for each.

    They must go: upstream's rotation counts them, and would delete the last good state to make room. With `read` the
    newest is read too, until one holds what was saved.

    Raises:
        UserError: what the segment before left has been changed; without it the optimizer would start anew.
    """
    messages = []
    for state in states_in(path):
        defect = state.defect() or (None if first <= state.step <= last else "is of another segment")
        if defect:
            messages.append(f"the state of step {state.step} {defect}; removed")
            remove(state.folder)
    while read and (states := states_in(path)) and (change := states[-1].change()):
        if states[-1].step == first > 0:
            raise UserError(f"the state that the segment before left {change}", states[-1].folder)
        messages.append(f"the state of step {states[-1].step} {change}; removed")
        remove(states[-1].folder)
    return messages


def choose_state(path: Path) -> State | None:
    """The newest state, which `latest` names from then on; None where training starts at the stage's beginning.

    All states below `path` must be whole (`drop_broken`).
    """
    states = states_in(path)
    if not states:
        remove(path / "_actor")  # upstream would try to load what else is there
        return None
    write_text(path / "_actor" / LATEST, states[-1].folder.name)
    take_write_from_others(path / "_actor" / LATEST)
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
