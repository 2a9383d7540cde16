"""Files written whole or not at all, and their digests."""

import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

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
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield aside
        replace(aside, path)
    except BaseException as error:
        remove(aside)
        if isinstance(error, OSError) and error.errno in FULL:
            raise JobError(f"could not write: {os.strerror(error.errno)}", path, "make room and run it again") from None
        raise


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


def lock_file(path: Path) -> IO[bytes]:
    """A file to take locks on (`flock`) that nobody else can open: whoever can read a file can hold a lock on it.

    Raises:
        UserError: it belongs to another user than this process, or than the folder that it is in.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO):
            raise not_ones_own(path) from None
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in (os.geteuid(), path.parent.stat().st_uid):
        os.close(descriptor)
        raise not_ones_own(path)
    if stat.S_IMODE(status.st_mode) != 0o600:
        with suppress(PermissionError):  # the folder's owner's, of an earlier version
            os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "r+b")


def not_ones_own(path: Path) -> UserError:
    return UserError(
        "this lock is not a file of yours: whose it is could keep you waiting for ever",
        path,
        "work in a folder of your own, or remove the lock where you trust its owner",
    )


def current_umask() -> int:
    mask = os.umask(0o077)  # there is no other way to read it
    os.umask(mask)
    return mask


def appending(path: Path) -> IO[bytes]:
    """A file to append to, its owner's alone: for what another program or server says, which may hold a secret."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


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
