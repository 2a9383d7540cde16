"""Weights that were made or fetched before: put back when Snakemake has removed what it declares of them.

    {models}/.kept/{model}-{digest}/   the declared files of a model, as hard links; the others stay in its folder

The digest is of what decides the weights. What is put back is whole: every file is held against the manifest.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepscaler.errors import UserError
from deepscaler.files import digest_of, link, put_in_place, read_json, remove, sha256
from deepscaler.folders import is_within
from deepscaler.models.manifest import NAME

FOLDER = ".kept"


def kept_folder(folder: Path, decided: Any) -> Path:
    return folder.parent / FOLDER / f"{folder.name}-{digest_of(decided)[:12]}"


def keep(folder: Path, declared: Sequence[str], kept: Path) -> None:
    """Keep the declared files of a finished model; the manifest last, which says that all are there."""
    remove(kept)
    kept.mkdir(parents=True)
    for name in (*(name for name in declared if name != NAME), NAME):
        link(str(folder / name), str(kept / name))


def put_back(folder: Path, kept: Path) -> bool:
    """Whether the model is in its folder, whole; what is missing of it is put back from `kept`."""
    try:
        digests = dict(read_json(kept / NAME)["files"])
        whole = bool(digests) and all(
            is_within(name) and sha256(place_of(name, folder, kept)) == wanted for name, wanted in digests.items()
        )
    except (UserError, OSError, KeyError, TypeError, ValueError):
        return False
    if whole:
        for name in (*digests, NAME):
            if (kept / name).exists():
                put_in_place(kept / name, folder / name)
    return whole


def place_of(name: str, folder: Path, kept: Path) -> Path:
    return kept / name if (kept / name).exists() else folder / name
