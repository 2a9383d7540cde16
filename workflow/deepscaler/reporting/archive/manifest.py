"""archive.json: every file of a run by its digest, read as what others wrote."""

from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from deepscaler.errors import UserError
from deepscaler.files import parse_json, read_bytes, sha256, write_json
from deepscaler.folders import is_within
from deepscaler.settings.base import Name, Strict, validate

NAME = "archive.json"
LARGEST = 16 << 20
"""Bytes of a manifest."""
MOST_FILES = 50_000
LONGEST_NAME = 400
MODEL_FILES = (".safetensors", ".json", ".jsonl", ".jinja", ".model", ".txt")
"""What may lie in a folder of weights: tensors, configuration, tokenizer, metrics; never a pickle, which is code."""
MANIFESTS = ("/model.json", "/checkpoint.json")


class Entry(Strict):
    """A file of the run."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)
    left_out: str | None = None
    """Why the archive has its digest alone; None where the file is there."""


class Manifest(Strict):
    archive: Literal[1]
    """The version of the format."""
    scale: Name
    licences: dict[str, str]
    """What is in here or was used, and under which licence."""
    files: dict[str, Entry]
    """By name: `table.csv`, `work/mini/samples/…`."""

    @field_validator("files")
    @classmethod
    def stays_within(cls, files: dict[str, Entry]) -> dict[str, Entry]:
        if len(files) > MOST_FILES:
            raise ValueError(f"names more than {MOST_FILES:,} files")
        for name in files:
            parts = PurePosixPath(name).parts
            if not is_within(name) or len(name) > LONGEST_NAME or str(PurePosixPath(name)) != name or name == NAME:
                raise ValueError(f"names a file that no archive has: {name[:LONGEST_NAME]!r}")
            if any(part.startswith(".") for part in parts):
                raise ValueError(f"names a hidden file: {name!r}")
            if parts[0] == "work" and parts[2:3] in (("models",), ("checkpoints",)) and not name.endswith(MODEL_FILES):
                raise ValueError(f"names a file that is no part of weights: {name!r}")
        if any(str(parent) in files for name in files for parent in PurePosixPath(name).parents):
            raise ValueError("names a file that is a folder, too")
        return files

    @property
    def stored(self) -> dict[str, Entry]:
        return {name: entry for name, entry in self.files.items() if entry.left_out is None}

    @property
    def weights(self) -> list[str]:
        """The names of the manifests of weights, base models first."""
        return sorted(
            (name for name in self.files if name.endswith(MANIFESTS)), key=lambda name: "/models/" not in name
        )


def read(path: Path) -> Manifest:
    """A manifest as others wrote it, or a UserError."""
    if not path.is_file():
        raise UserError("not an archive: there is no archive.json", path.parent, "deepscaler archive makes one")
    return validate(Manifest, parse_json(read_bytes(path, LARGEST), path), path)


def write(folder: Path, manifest: Manifest) -> str:
    """Put a manifest into its archive; its SHA-256, which stands for all of it."""
    write_json(folder / NAME, manifest.model_dump(mode="json", exclude_none=True))
    return sha256(folder / NAME)
