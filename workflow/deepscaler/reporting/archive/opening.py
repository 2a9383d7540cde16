"""An archive that others made, opened within bounds: no links, no devices, no place outside, no more than it says."""

import gzip
import io
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from deepscaler.errors import UserError
from deepscaler.files import CHUNK, opened, sha256
from deepscaler.folders import listed
from deepscaler.reporting.archive import manifest
from deepscaler.reporting.archive.manifest import Manifest
from deepscaler.text import printable

LARGEST_GB = 8.0
"""Of an archive, unpacked, unless more is allowed."""
LARGEST_READ = 16 << 20
"""Bytes that are read at once: a tar's headers may name any size."""
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Archive:
    """An archive as a folder."""

    folder: Path
    manifest: Manifest
    digest: str
    """The SHA-256 of archive.json."""

    @property
    def scale(self) -> str:
        return self.manifest.scale

    def path(self, name: str) -> Path:
        return self.folder / name

    def holds(self, name: str) -> bool:
        return name in self.manifest.stored and self.path(name).is_file()


@contextmanager
def open_archive(path: Path, largest_gb: float = LARGEST_GB) -> Iterator[Archive]:
    """A folder where it is, a tar unpacked for as long as it is needed; UserError where it is no archive."""
    if path.is_dir():
        yield described(path, largest_gb)
        return
    with TemporaryDirectory(prefix="deepscaler-archive-") as folder:
        unpack(path, Path(folder), int(largest_gb * 1e9))
        yield described(Path(folder), largest_gb)


def described(folder: Path, largest_gb: float) -> Archive:
    found = manifest.read(folder / manifest.NAME)
    check_size(found, int(largest_gb * 1e9), folder)
    here = folder.resolve()
    for name in (manifest.NAME, *found.stored):
        if (here / name).resolve() != here / name:
            raise UserError("a link, which an archive has none of", folder / name)
    return Archive(here, found, sha256(here / manifest.NAME))


def check_size(found: Manifest, largest: int, where: Path) -> None:
    size = sum(entry.bytes for entry in found.stored.values())
    if size > largest:
        raise UserError(f"names {size / 1e9:.1f} GB of files", where, f"allow it: --largest-gb {size // 10**9 + 1}")


def unpack(path: Path, folder: Path, largest: int) -> None:
    """The files of a tar that its manifest, which comes first, names."""
    with opened(path) as raw:
        compressed = raw.read(2) == GZIP
        raw.seek(0)
        handle: Any = gzip.GzipFile(fileobj=raw) if compressed else raw
        try:
            with tarfile.open(fileobj=Bounded(handle, path), mode="r:") as tar:
                unpack_members(tar, folder, largest, path)
        except (tarfile.TarError, EOFError, OSError, ValueError, RecursionError) as error:
            raise UserError(f"not a whole tar: {printable(str(error))}", path) from None


def unpack_members(tar: tarfile.TarFile, folder: Path, largest: int, path: Path) -> None:
    sizes: dict[str, int] = {}
    while member := tar.next():
        if not sizes and member.name != manifest.NAME:
            raise UserError("not an archive: archive.json does not come first", path)
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
            raise UserError(f"holds something that is no plain file: {printable(member.name)}", path)
        content = tar.extractfile(member)
        assert content is not None  # of a plain file
        if not sizes:
            if member.size > manifest.LARGEST:
                raise UserError(f"archive.json is larger than {manifest.LARGEST >> 20} MB", path)
            copy(content, folder / manifest.NAME)
            found = manifest.read(folder / manifest.NAME)
            check_size(found, min(largest, shutil.disk_usage(folder).free), path)
            sizes = {name: entry.bytes for name, entry in found.stored.items()} | {manifest.NAME: -1}
            continue
        if sizes.get(member.name) != member.size:
            raise UserError(f"holds a file that archive.json does not describe: {printable(member.name)}", path)
        sizes[member.name] = -1  # a second one would be another size
        copy(content, folder / member.name)
        tar.members.clear()  # type: ignore[attr-defined]  # which grows with every member


def copy(content: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as handle:
        shutil.copyfileobj(content, handle, CHUNK)


class Bounded(io.RawIOBase):
    """A file of which nobody reads more than LARGEST_READ at once."""

    def __init__(self, handle: Any, path: Path) -> None:
        self.handle, self.path = handle, path

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST_READ:
            raise UserError(f"a header of more than {LARGEST_READ >> 20} MB", self.path)
        content: bytes = self.handle.read(size)
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self.handle.seek(offset, whence))

    def tell(self) -> int:
        return int(self.handle.tell())


def altered(archive: Archive) -> Iterator[str]:
    """Files that are not as archive.json says, are missing, or stand there without its word."""
    for name, entry in archive.manifest.stored.items():
        path = archive.path(name)
        if not path.is_file():
            yield f"{name}: is gone"
        elif path.stat().st_size != entry.bytes:
            yield f"{name}: has {path.stat().st_size:,} bytes, archive.json says {entry.bytes:,}"
        elif (found := sha256(path)) != entry.sha256:
            yield f"{name}: sha256 is {found[:12]}, archive.json says {entry.sha256[:12]}"
    for name in listed(archive.folder):
        if name != manifest.NAME and name not in archive.manifest.stored:
            yield f"{name}: archive.json does not name it"
