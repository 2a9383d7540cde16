"""Which file gives a setting its value: the file itself, one that it extends, or the defaults of all."""

from pathlib import Path
from typing import Any, Literal

from deepscaler.settings.load import file_of, project_root, read_yaml

Kind = Literal["scale", "recipe"]


def origin(kind: Kind, name: str, dotted: str) -> Path | None:
    """The nearest file that has the key, e.g. `kl.coefficient` of a recipe; None where the model's default holds.

    A list is searched by its entries' `name`: `stages.8k.steps`.
    """
    return next((path for path in files_of(kind, name) if has(read_yaml(path), dotted.split("."))), None)


def files_of(kind: Kind, name: str) -> list[Path]:
    """The files that are merged, the nearest first."""
    found: list[Path] = []
    parent: str | None = name
    while parent and file_of(f"{kind}s", parent) not in found:
        found.append(file_of(f"{kind}s", parent))
        parent = read_yaml(found[-1]).get("extends")
    defaults = project_root() / "config" / "defaults" / f"{kind}.yaml"
    return [*found, *([defaults] if defaults.exists() else [])]


def has(value: Any, keys: list[str]) -> bool:
    """Whether nested data has a key."""
    if not keys:
        return True
    key, *rest = keys
    if isinstance(value, list):
        return any(entry.get("name") == key and has(entry, rest) for entry in value if isinstance(entry, dict))
    return isinstance(value, dict) and key in value and has(value[key], rest)
