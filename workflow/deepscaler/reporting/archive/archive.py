"""`deepscaler archive`: a run's results, weights, prompts, samples and grades as a folder or one file, by digest."""

import gzip
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from deepscaler.errors import UserError
from deepscaler.files import sha256, writing
from deepscaler.progress import progress
from deepscaler.reporting import equality, kept_run
from deepscaler.reporting.archive import licences, manifest
from deepscaler.reporting.archive.manifest import Entry, Manifest
from deepscaler.training.run import kept_rollouts

OF_THEIR_RUN = ("compute.csv", "claims.csv")
"""Results that speak of times, and are kept for what they say."""
PACKED = (".tar", ".tar.gz", ".tgz")


def archive(*, scale: str, results: Path, work: Path, output: Path, weights: bool = False) -> None:
    """Write the archive of a run at `output`: a file where its name is one of a tar, else a folder, which is replaced.

    `work` is {work}/{scale}. The same run gives the same bytes.
    """
    if not (results / "table.csv").is_file():
        raise UserError("there are no results to keep", results, f"make them with: snakemake {scale}")
    if output.is_dir() and any(output.iterdir()) and not (output / kept_run.NAME).is_file():
        raise UserError("this folder holds something else than an archive", output, "name another one")
    if output.name.endswith(PACKED):
        with TemporaryDirectory(dir=made(output.parent), prefix=".archive-") as folder, writing(output) as aside:
            digest = fill(Path(folder), scale, results, work, weights=weights)
            pack(Path(folder), aside, compressed=not output.name.endswith(".tar"))
    else:
        with writing(output) as aside:
            digest = fill(aside, scale, results, work, weights=weights)
    print(f"{output}: archive of scale {scale}, sha256 of its archive.json {digest}")


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fill(folder: Path, scale: str, results: Path, work: Path, *, weights: bool) -> str:
    """Copy into `folder` what may be passed on, and describe the whole; the digest of the description."""
    files = {}
    for name, path in progress(sorted(files_of(scale, results, work)), what="archiving", unit="file"):
        reason = licences.why_left_out(scale, name, path.stat().st_size, weights=weights)
        if reason is None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        files[name] = Entry(sha256=sha256(path), bytes=path.stat().st_size, left_out=reason)
    folder.mkdir(parents=True, exist_ok=True)
    kept_run.write(folder / kept_run.NAME, kept_run.describe(results))
    own = folder / kept_run.NAME
    files[own.name] = Entry(sha256=sha256(own), bytes=own.stat().st_size)
    described = Manifest(archive=1, scale=scale, licences=licences.notes(scale), files=dict(sorted(files.items())))
    return manifest.write(folder, described)


def files_of(scale: str, results: Path, work: Path) -> Iterator[tuple[str, Path]]:
    """All that must be equal in every run, and what speaks of this one: name in the archive, and file.

    Rollouts are left out: checkpoint.json has their digests.
    """
    for folder, name in equality.held(results, work):
        if folder == work and name.parts[0] == "checkpoints" and kept_rollouts.FOLDER in name.parts:
            continue
        yield (f"work/{scale}/{name.as_posix()}" if folder == work else name.as_posix()), folder / name
    for shown in OF_THEIR_RUN:
        if (results / shown).is_file():
            yield shown, results / shown


def pack(folder: Path, target: Path, *, compressed: bool) -> None:
    """A tar with the manifest first, so that it is known before the rest what is to come; without times and owners."""
    names = [manifest.NAME, *sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())]
    with target.open("wb") as raw:
        handle = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) if compressed else raw
        with tarfile.open(fileobj=handle, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name in dict.fromkeys(names):
                about = tarfile.TarInfo(name)
                about.size, about.mode = (folder / name).stat().st_size, 0o644
                with (folder / name).open("rb") as content:
                    tar.addfile(about, content)
        handle.close()
