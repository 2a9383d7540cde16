"""The files of a folder of others: links in circles end, and links to what is not theirs are refused."""

import os
from pathlib import Path

from deepscaler.errors import UserError


def is_within(name: str) -> bool:
    """Whether a file's name that others wrote, as in a manifest, leads to no place outside of its folder."""
    return bool(name) and not name.startswith("/") and ".." not in name.split("/") and "\0" not in name


def listed(folder: Path) -> list[str]:
    """The files of a repository's folder, without what downloaders keep in hidden folders.

    Links are followed, each folder once. A UserError at a link by which another user would have us read what is ours.
    """
    names: list[str] = []
    entered = {identity_of(folder)}
    for parent, folders, files in os.walk(folder, followlinks=True):
        here = Path(parent)
        folders[:] = [name for name in sorted(folders) if not name.startswith(".") and enters(here / name, entered)]
        shown = [here / name for name in files if not name.startswith(".")]
        for path in shown:
            check_link(path)
        names += [path.relative_to(folder).as_posix() for path in shown]
    return sorted(names)


def enters(folder: Path, entered: set[tuple[int, int]]) -> bool:
    """Whether a folder has not been entered before: links may lead in circles."""
    check_link(folder)
    if (identity := identity_of(folder)) in entered:
        return False
    entered.add(identity)
    return True


def identity_of(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def check_link(path: Path) -> None:
    """Follow links that we or root have made, and those of others to what is theirs."""
    if path.is_symlink():
        maker = path.lstat().st_uid
        if maker not in (0, os.getuid()) and path.exists() and path.stat().st_uid != maker:
            raise UserError("a link that another user has made to a file that is not theirs", path)
