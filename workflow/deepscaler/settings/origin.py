"""Which file gives a setting its value: the file itself, one that it extends, or the defaults of all."""

from pathlib import Path
from typing import Any, Literal

from deepscaler.settings.defaults import EACH
from deepscaler.settings.load import file_of, project_root, read_yaml

Kind = Literal["scale", "recipe"]


def origin(kind: Kind, name: str, dotted: str) -> tuple[Path, str] | None:
    """The nearest file that has a key, e.g. `kl.coefficient` of a recipe, and the key as it is there; None for none.

    A list is searched by its entries' `name`: `stages.8k.steps`. The defaults of every entry are under `each`.
    """
    for path in files_of(kind, name):
        keys = as_written(read_yaml(path), dotted.split("."))
        if keys is not None:
            return path, ".".join(keys)
    return None


def files_of(kind: Kind, name: str) -> list[Path]:
    """The files that are merged, the nearest first."""
    found: list[Path] = []
    parent: str | None = name
    while parent and file_of(f"{kind}s", parent) not in found:
        found.append(file_of(f"{kind}s", parent))
        parent = read_yaml(found[-1]).get("extends")
    defaults = project_root() / "config" / "defaults" / f"{kind}.yaml"
    return [*found, *([defaults] if defaults.exists() else [])]


def as_written(value: Any, keys: list[str]) -> list[str] | None:
    """The keys under which nested data has what `keys` name, or None where it has not."""
    if not keys:
        return []
    key, *rest = keys
    if isinstance(value, list):
        value = {entry["name"]: entry for entry in value if isinstance(entry, dict) and "name" in entry}
    if not isinstance(value, dict):
        return None
    found = ((name, as_written(value[name], rest)) for name in (key, EACH) if name in value)
    return next(([name, *below] for name, below in found if below is not None), None)
