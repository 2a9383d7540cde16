"""Repositories at a pinned commit: from the Hugging Face hub, from GitHub, or from a local folder in the same layout.

A repository is `owner/name`, or a folder given as `file:///…` or as an absolute path. Where the site's setting `hub`
names a folder, every `owner/name` is looked for there and nowhere else: models at `{hub}/{owner}/{name}`, data sets at
`{hub}/datasets/{owner}/{name}`, GitHub's at `{hub}/github/{owner}/{name}`, as `hf download --local-dir` and
`git clone` leave them. What arrives is verified before anyone sees it: against the SHA-256 of the pin where it has one,
and against the digests that the hub keeps for the commit.
"""

import hashlib
import http.client
import os
import re
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from deepscaler import foreign
from deepscaler.download_errors import explained, first_line
from deepscaler.errors import JobError, UserError
from deepscaler.files import CHUNK, read_json, read_jsonl, read_text, remove, sha256, writing
from deepscaler.folders import listed
from deepscaler.progress import BytesBar, progress

Host = Literal["model", "dataset", "github"]
Verified = Literal["sha256", "revision", "none"]
PREFIX: dict[Host, str] = {"model": "", "dataset": "datasets/", "github": "github/"}
COMMIT_DIGITS = 40
COMMIT = re.compile(r"[0-9a-f]{7,64}")
SMALL = 1 << 16
"""Bytes of a file that says which commit a folder is of."""
GITHUB = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class Pin:
    """What to fetch."""

    host: Host
    repository: str
    revision: str | None
    """A commit, 40 hexadecimal digits; fewer say which one the newest must be; None is no pin: the newest is taken."""
    files: Mapping[str, str | None] = field(default_factory=dict)
    """Path or pattern in the repository → SHA-256, or None where no one could check it; all must be there."""
    patterns: tuple[str, ...] = ()
    """Of further files at the repository's top, wanted where they are there."""


@dataclass(frozen=True)
class Snapshot:
    """What was fetched."""

    revision: str | None
    """The commit that the files are of, where that is known."""
    digests: dict[str, str]
    """Path → SHA-256 of every file."""
    verified: Verified
    """Compared with the pin's SHA-256, with the commit only, or with nothing."""


def fetch(pin: Pin, into: Path, mirror: str | None = None) -> Snapshot:
    """Bring a repository's files to the folder `into`, and verify them.

    What an interrupted call left in `into` is used again. Files that do not match their pin are moved to
    `{into}.refused` and the call fails with a UserError: they are kept, never used.
    """
    folder = local_folder(pin, mirror)
    try:
        revision = from_folder(folder, pin, into) if folder else from_network(pin, into)
        digests = {name: sha256(into / name) for name in progress(listed(into), what="verifying", unit="file")}
    except OSError as error:
        raise explained(error, pin.repository, into) from None
    if complaint := mismatch(pin, revision, digests):
        aside = into.with_name(f"{into.name}.refused")
        remove(aside)
        into.rename(aside)
        raise UserError(f"{pin.repository} does not match its pin: {complaint}", aside, "kept there, and not used")
    return Snapshot(revision, digests, how_verified(pin, revision, digests))


def how_verified(pin: Pin, revision: str | None, digests: Mapping[str, str]) -> Verified:
    if all(pin.files.get(name) for name in digests):
        return "sha256"
    return "revision" if pin.revision and revision and revision.startswith(pin.revision) else "none"


def mismatch(pin: Pin, revision: str | None, digests: Mapping[str, str]) -> str | None:
    """In what way files differ from their pin, or None."""
    if pin.revision and revision and not revision.startswith(pin.revision):
        return f"found revision {revision[:12]}, pinned {pin.revision[:12]}"
    for name, wanted in pin.files.items():
        if not any(fnmatch(found, name) for found in digests):
            return f"no file {name}"
        if wanted and digests.get(name) != wanted:
            return f"{name} has SHA-256 {digests[name][:12]}…, pinned {wanted[:12]}…"
    return None


def local_folder(pin: Pin, mirror: str | None) -> Path | None:
    """The folder that a repository is read from, or None when it comes over the network."""
    if pin.repository.startswith("file://") or Path(pin.repository).is_absolute():
        folder = Path(pin.repository.removeprefix("file://"))
    elif mirror:
        folder = Path(mirror.removeprefix("file://")) / (PREFIX[pin.host] + pin.repository)
    else:
        return None
    if not folder.is_dir():
        hint = "the site's setting `hub` names a folder: put the repository there, or unset it" if mirror else None
        raise UserError(f"no repository {pin.repository} here", folder, hint)
    return folder


def from_folder(folder: Path, pin: Pin, into: Path) -> str | None:
    """Link (or copy, across file systems) the wanted files; the commit that the folder says it is of."""
    names = [name for name in listed(folder) if wanted(name, pin)]
    for name in progress(names, what=f"copying {folder.name}", unit="file"):
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        source = (folder / name).resolve()
        try:
            if source.stat().st_uid != os.geteuid():
                raise PermissionError("its owner could change a link to it after it was verified")
            os.link(source, target)
        except OSError:
            shutil.copyfile(folder / name, target)
            target.chmod(target.stat().st_mode & (folder / name).stat().st_mode)  # what is private stays private
    return commit_of(folder)


def commit_of(folder: Path) -> str | None:
    """The commit that `hf download --local-dir` or `git clone` recorded in a folder; None where nothing did."""
    records = (folder / ".cache" / "huggingface" / "download").rglob("*.metadata")
    commits = {commit for record in records if (commit := commit_in(record))}
    if len(commits) > 1:
        found = ", ".join(sorted(commit[:12] for commit in commits))
        raise UserError(f"files of different commits: {found}", folder, "download it again into an empty folder")
    if commits:
        return commits.pop()
    head = folder / ".git" / "HEAD"
    if not head.is_file():
        return None
    text = read_text(head, SMALL).strip()
    if not text.startswith("ref: "):
        return commit_in(head)
    branch = folder / ".git" / text.removeprefix("ref: ")
    inside = branch.resolve().is_relative_to((folder / ".git").resolve())
    return commit_in(branch) if inside and branch.is_file() else None


def commit_in(path: Path) -> str | None:
    """The commit on a file's first line; None where that is none: whatever else is there is not for our records."""
    line = read_text(path, SMALL).split("\n", 1)[0].strip()
    return line if COMMIT.fullmatch(line) else None


def from_network(pin: Pin, into: Path) -> str | None:
    """Download the wanted files, resuming; the commit that they are of."""
    if pin.host == "github":
        if not pin.revision:
            raise UserError(f"{pin.repository} on GitHub needs a pinned revision")
        for name in pin.files:
            download(f"{GITHUB}/{pin.repository}/{pin.revision}/{name}", into / name)
        return pin.revision
    return from_hub(pin, into)


def from_hub(pin: Pin, into: Path) -> str:
    """Download from the Hugging Face hub, and compare every file with the digest that the hub keeps for the commit."""
    from huggingface_hub import snapshot_download

    with hub_errors(pin):
        commit, files = listing(pin)
        if pin.revision and not commit.startswith(pin.revision):
            raise UserError(f"the newest commit of {pin.repository} is {commit[:12]}, pinned {pin.revision[:12]}")
        snapshot_download(
            pin.repository,
            repo_type=pin.host,
            revision=commit,
            local_dir=into,
            allow_patterns=[file.rfilename for file in files],
            tqdm_class=BytesBar,
        )
    for file in files:
        expected = file.lfs.sha256 if file.lfs else file.blob_id
        actual = sha256(into / file.rfilename) if file.lfs else git_blob_id(into / file.rfilename)
        if expected and actual != expected:
            (into / file.rfilename).unlink()
            where = f"{pin.repository}@{commit}"
            raise JobError(f"{file.rfilename} arrived damaged", where, "run it again: only this file is fetched anew")
    return commit


def described(pin: Pin) -> tuple[str, dict[str, str]]:
    """The commit that a pin means today, and the SHA-256 that the hub keeps of its large files. Downloads nothing."""
    with hub_errors(pin):
        commit, files = listing(pin)
    return commit, {file.rfilename: file.lfs.sha256 for file in files if file.lfs}


def listing(pin: Pin) -> tuple[str, list[Any]]:
    """The commit and the wanted files of a repository on the hub."""
    from huggingface_hub import HfApi

    whole = pin.revision if pin.revision and len(pin.revision) == COMMIT_DIGITS else None
    about = HfApi().repo_info(pin.repository, revision=whole, repo_type=pin.host, files_metadata=True)
    return str(about.sha), [file for file in getattr(about, "siblings", None) or [] if wanted(file.rfilename, pin)]


@contextmanager
def hub_errors(pin: Pin) -> Iterator[None]:
    """The hub's client's errors as ours."""
    try:
        yield
    except Exception as error:  # httpx's and the hub's own errors have no common class of their own
        page = PREFIX[pin.host] + pin.repository
        raise explained(error, f"{pin.repository}@{pin.revision or 'main'}", None, page) from None


def git_blob_id(path: Path) -> str:
    """The name that git gives a file's content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as handle:
        while chunk := handle.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a redirect on the same host only: what is fetched, and what is sent, is for the server that we named."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        before, after = (urllib.parse.urlsplit(url) for url in (req.full_url, newurl))
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            raise UserError(f"the server redirects to another host, {after.scheme}://{after.netloc}", req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, target: Path, timeout: float = 60) -> None:
    """One small file over HTTPS, whole or not at all."""
    try:
        with (
            urllib.request.build_opener(SameHost).open(url, timeout=timeout) as response,
            writing(target) as aside,
            aside.open("wb") as handle,
        ):
            shutil.copyfileobj(response, handle, CHUNK)
    except (OSError, http.client.HTTPException) as error:  # urllib's are OSErrors
        raise explained(error, target.name, url) from None


def wanted(name: str, pin: Pin) -> bool:
    """Whether a file of a repository belongs to the pin."""
    top = () if "/" in name else pin.patterns
    return any(fnmatch(name, pattern) for pattern in (*pin.files, *top))


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a data file: a JSON list, JSON lines, Parquet or CSV, by its suffix."""
    try:
        if path.suffix == ".json":
            rows = read_json(path)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise UserError("not a list of JSON objects", path)
            yield from rows
        elif path.suffix == ".jsonl":
            yield from read_jsonl(path)
        elif path.suffix == ".parquet":
            for batch in foreign.parquet(path).iter_batches(4096):
                yield from batch.to_pylist()
        elif path.suffix == ".csv":
            yield from foreign.csv_rows(path)
        else:
            raise UserError(f"unknown kind of data file {path.suffix!r}", path, "known: .json .jsonl .parquet .csv")
    except (ValueError, OSError) as error:
        raise UserError(f"not readable: {first_line(error)}", path) from None
