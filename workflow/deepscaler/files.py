"""Files written whole or not at all, and their digests."""

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepscaler.errors import JobError, UserError

CHUNK = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a write fails with when there is no more room."""


@contextmanager
def writing(path: Path | str) -> Iterator[Path]:
    """Give a path beside `path` to write to, and rename it onto `path` when the block ends well.

    The aside file or folder is removed when the block raises. A folder already at `path` is replaced.

    Raises:
        JobError: the disk is full.
        UserError: nothing can be written there.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(path, error) from None
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield aside
        replace(aside, path)
    except BaseException as error:
        remove(aside)
        if isinstance(error, OSError) and error.errno in FULL:
            raise JobError(f"could not write: {os.strerror(error.errno)}", path, "make room and run it again") from None
        if isinstance(error, OSError) and error.filename == str(aside):
            raise not_writable(path, error) from None
        raise


def not_writable(path: Path, error: OSError) -> Exception:
    """A full disk fails the job; a folder that is none, or belongs to others, is what the user gave."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in FULL:
        return JobError(f"could not write: {reason}", path, "make room and run it again")
    return UserError(f"can't be written: {reason}", path)


def replace(source: Path, target: Path) -> None:
    """Rename `source` onto `target`, durably; a folder at `target` makes room first."""
    if source.is_file():
        with source.open("rb") as handle:
            os.fsync(handle.fileno())
    if target.is_dir() and not target.is_symlink():
        old = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old")
        target.rename(old)
        source.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    with writing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False) + "\n")


def read_json(path: Path | str) -> Any:
    """The value in a JSON file, or a UserError that names the file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("no such file", path) from None
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror}", path) from None
    except ValueError as error:
        raise UserError(f"not valid JSON: {error}", path) from None


def write_jsonl(path: Path | str, rows: Iterable[dict[str, Any]]) -> None:
    with writing(path) as aside, aside.open("w", encoding="utf-8") as handle:
        for row in rows:
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_jsonl(path: Path | str) -> Iterator[dict[str, Any]]:
    with Path(path).open(encoding="utf-8") as handle:
        for line in handle:
            if line.strip():
                yield json.loads(line)


def sha256(path: Path | str) -> str:
    """The SHA-256 of one file, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while chunk := handle.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def digest_of(value: Any) -> str:
    """The SHA-256 of a JSON-able value, independent of the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()
