"""Files written whole or not at all, read within bounds, and their digests.

What is read may have been written by others: it is a regular file, of bounded size, lines and depth, or a UserError.
"""

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
from typing import IO, Any, BinaryIO

from deepscaler.errors import JobError, UserError

CHUNK = 1 << 20
LARGEST = 128 << 20
"""Bytes of a file that is read as one value: its objects take some twenty times as much memory."""
LONGEST_LINE = 32 << 20
"""Bytes of a line of JSON lines."""
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
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


def link(source: str, target: str) -> str:
    """A hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def put_in_place(kept: Path, output: Path) -> None:
    """Let `output` be the file `kept`, whole or not at all, and newer than what it was made from; `kept` stays."""
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.exists() and output.samefile(kept):
        os.utime(output)  # to rename one name of a file onto another does nothing
        return
    with writing(output) as aside:
        link(str(kept), str(aside))
        os.utime(aside)


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


@contextmanager
def nobody_else_writes() -> Iterator[None]:
    """What is made meanwhile, by processes that are started too, no other user can write to, whatever the umask."""
    before = current_umask()
    os.umask(before | OTHERS_WRITE)
    try:
        yield
    finally:
        os.umask(before)


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


def opened(path: Path | str) -> BinaryIO:
    """A regular file, opened to be read in bytes: never a pipe or a device, which would wait or never end.

    Raises:
        UserError: it is something else, is not there, or can't be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UserError("no such file", path) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", path) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError("not a regular file", path)
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path | str, most: int = LARGEST) -> bytes:
    """The bytes of a regular file, or a UserError where it is larger than `most`."""
    with opened(path) as handle:
        content = handle.read(most + 1)
    if len(content) > most:
        raise UserError(f"larger than {most >> 20} MB", path)
    return content


def read_text(path: Path | str, most: int = LARGEST) -> str:
    """The text of a regular file in UTF-8, or a UserError."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"not text in UTF-8: {error.reason} at byte {error.start}", path) from None


def parse_json(text: str | bytes, where: object = None) -> Any:
    """The value of a JSON text, or a UserError; `where` is what the error names."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"not valid JSON: {error}", where) from None
    except RecursionError:
        raise UserError("not valid JSON: nested too deep", where) from None


def read_json(path: Path | str) -> Any:
    """The value in a JSON file, or a UserError that names the file."""
    return parse_json(read_text(path), path)


def write_jsonl(path: Path | str, rows: Iterable[dict[str, Any]]) -> None:
    with writing(path) as aside, aside.open("w", encoding="utf-8") as handle:
        for row in rows:
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")


def lines_of(path: Path | str) -> Iterator[bytes]:
    """The lines of a file, line breaks kept; a UserError at one that is longer than LONGEST_LINE."""
    with opened(path) as handle:
        while line := handle.readline(LONGEST_LINE + 1):
            if len(line) > LONGEST_LINE:
                raise UserError(f"a line longer than {LONGEST_LINE >> 20} MB", path)
            yield line


def read_jsonl(path: Path | str) -> Iterator[dict[str, Any]]:
    """The objects of JSON lines; a UserError at a line that is none."""
    for number, line in enumerate(lines_of(path), start=1):
        if line.strip():
            value = parse_json(line, f"{path}, line {number}")
            if not isinstance(value, dict):
                raise UserError("not a JSON object", f"{path}, line {number}")
            yield value


def sha256(path: Path | str) -> str:
    """The SHA-256 of one file, in hexadecimal."""
    digest = hashlib.sha256()
    with opened(path) as handle:
        while chunk := handle.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def digest_of(value: Any) -> str:
    """The SHA-256 of a JSON-able value, independent of the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()
