"""A checkpoint: a folder with weights, tokenizer, metrics, rollouts and `checkpoint.json`, and its verified lineage.

Every manifest names the SHA-256 of each of its files, and a digest of its parent's content, down to the base model's.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from deepscaler.errors import UserError
from deepscaler.files import digest_of, link, read_json, remove, replace, sha256, write_json
from deepscaler.folders import is_within
from deepscaler.records import Checkpoint, ModelManifest
from deepscaler.training.run import kept_rollouts

MANIFEST = "checkpoint.json"
BASE_MANIFEST = "model.json"
METRICS = "metrics.jsonl"
ADAPTER = "adapter"
"""The folder of LoRA's adapters, whose change the weights beside it have already."""
WEIGHTS = (".safetensors", ".json", ".jinja", ".model", ".txt")
"""Suffixes of what belongs to a model: weights, configuration, tokenizer, chat template."""


def read_manifest(path: Path) -> Checkpoint | ModelManifest:
    """`checkpoint.json` or `model.json`."""
    if not path.is_file():
        raise UserError("no such manifest", path)
    kind: type[BaseModel] = Checkpoint if path.name == MANIFEST else ModelManifest
    try:
        manifest = kind.model_validate(read_json(path))
    except ValidationError as error:
        raise UserError(f"not a manifest: {error.errors()[0]['msg']}", path) from None
    assert isinstance(manifest, Checkpoint | ModelManifest)
    return manifest


def verify_files(path: Path) -> Checkpoint | ModelManifest:
    """Check the digest of every file beside a manifest against the manifest's; UserError where one differs."""
    manifest = read_manifest(path)
    for name, digest in manifest.files.items():
        if not is_within(name):
            raise UserError(f"names a file outside of its folder: {name}", path)
        file = path.parent / name
        if not file.is_file():
            raise UserError(f"{name} is missing", path.parent)
        found = sha256(file)
        if found != digest:
            raise UserError(f"{name} is not the file that {path.name} describes (sha256 {found[:12]}…)", path.parent)
    kept = manifest.rollouts if isinstance(manifest, Checkpoint) else None
    if changed := kept_rollouts.change(path.parent, kept or {}):
        raise UserError(f"{changed} is not the file that {path.name} describes", path.parent)
    return manifest


def digest(path: Path) -> str:
    """The SHA-256 of what a manifest says of its content.

    Not of when, with which packages or from where that came: the same bytes, fetched or trained again, are the same
    parent.
    """
    manifest = read_manifest(path)
    if isinstance(manifest, ModelManifest):
        return digest_of(manifest.model_dump(include={"system", "files"}))
    return digest_of(manifest.model_dump(exclude={"versions", "processor"}, exclude_none=True))


def lineage(path: Path) -> Iterator[tuple[Path, Checkpoint | ModelManifest]]:
    """The manifests from a checkpoint back to the base model, each with its files verified.

    A parent is found by its digest among the sibling checkpoints and the models of the same work folder.
    """
    while True:
        manifest = verify_files(path)
        yield path, manifest
        if isinstance(manifest, ModelManifest):
            return
        path = parent_of(path, manifest)


def parent_of(path: Path, manifest: Checkpoint) -> Path:
    work = path.resolve().parents[2]
    candidates = [*sorted(work.glob(f"checkpoints/*/{MANIFEST}")), *sorted(work.glob(f"models/*/{BASE_MANIFEST}"))]
    for candidate in candidates:
        if manifest.parent in (digest(candidate), sha256(candidate)):
            return candidate
    raise UserError(
        f"its parent (a manifest with the digest {manifest.parent[:12]}…) is not there",
        path,
        f"looked through {len(candidates)} manifests below {work}",
    )


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that make up the model."""
    names = {MANIFEST, BASE_MANIFEST}
    return sorted(
        path for path in folder.iterdir() if path.is_file() and path.suffix in WEIGHTS and path.name not in names
    )


def export_files(folder: Path) -> list[Path]:
    """The files of a model folder that a checkpoint has: the model's, and LoRA's adapters beside it."""
    return [*model_files(folder), *sorted(path for path in (folder / ADAPTER).glob("*") if path.is_file())]


def write_manifest(folder: Path, checkpoint: Checkpoint) -> None:
    write_json(folder / MANIFEST, checkpoint.model_dump(exclude_none=True))


def publish(export: Path, target: Path) -> None:
    """Put a finished export in place of `target`, at once and without copying; the export stays.

    The files are hard links, so that deleting a published checkpoint, as Snakemake does before it makes one anew, loses
    nothing. They get the current time, so that they are newer than what they were made from.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.part")
    remove(aside)
    shutil.copytree(export, aside, copy_function=link)
    for path in aside.rglob("*"):
        os.utime(path)
    replace(aside, target)
