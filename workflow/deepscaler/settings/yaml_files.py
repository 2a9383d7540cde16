"""The files of config/: where they are, their names, how they are read, and what `extends` means."""

import os
from pathlib import Path
from typing import Any

import yaml

from deepscaler.errors import UserError, refuse_unknown
from deepscaler.files import read_text
from deepscaler.text import printable

MAX_EXTENDS = 8
LARGEST = 4 << 20
"""Bytes of a settings file."""
MOST_VALUES = 100_000
"""Of a settings file, those of an alias counted wherever it stands."""
DEEPEST = 32
"""Levels."""
SAFE_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C where there is one, since every job of a run reads these files."""


class Loader(SAFE_LOADER):
    """Refuses a key that stands twice in a mapping, of which YAML would silently take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def project_root() -> Path:
    """The checkout: $DEEPSCALER_ROOT, else the nearest folder upwards from here that has config/scales."""
    if given := os.environ.get("DEEPSCALER_ROOT"):
        return Path(given).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "config" / "scales").is_dir():
            return folder
    raise UserError("no config/scales folder here or above", here, "run from the project's checkout")


def run_root() -> Path:
    """The folder that results, logs, the work root and .snakemake lie in: the checkout, or $DEEPSCALER_DIRECTORY.

    They differ where another workflow uses this one as a module, or with `snakemake --directory`.
    """
    given = os.environ.get("DEEPSCALER_DIRECTORY")
    return Path(given).resolve() if given else project_root()


def file_of(folder: str, name: str) -> Path:
    return project_root() / "config" / folder / f"{name}.yaml"


def names_in(folder: str) -> list[str]:
    return sorted(path.stem for path in (project_root() / "config" / folder).glob("*.yaml"))


def read_extending(folder: str, name: str, kind: str, depth: int = 0, where: object = None) -> dict[str, Any]:
    """A YAML file merged over the one that its `extends` names: lists are replaced, a null takes a key away.

    `where` is the file that asks for this one.
    """
    if name not in names_in(folder):  # nor a path to another folder
        raise refuse_unknown(kind, str(name), names_in(folder), where or f"config/{folder}")
    path = file_of(folder, name)
    if depth > MAX_EXTENDS:
        raise UserError("`extends` goes in a circle", path)
    values = read_yaml(path)
    parent = values.pop("extends", None)
    if parent is None:
        return values
    return merge(read_extending(folder, parent, kind, depth + 1, path), values, null_removes=True)


def merge(base: dict[str, Any], over: dict[str, Any], *, null_removes: bool = False) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if value is None and null_removes and key in merged:
            del merged[key]
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value, null_removes=null_removes)
        else:
            merged[key] = value
    return merged


def check_size(text: str, path: Path) -> None:
    """Refuse nesting and repetition beyond what settings need, before anything is built of them.

    An alias stands for all that its anchor holds: a few lines of aliases to aliases can stand for billions of values.
    """
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=SAFE_LOADER):
        anchor, size = getattr(event, "anchor", None), 1
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((anchor, 1))
            size = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = opened.pop()
            sizes |= {anchor: size} if anchor else {}
        elif isinstance(event, yaml.AliasEvent):
            size = sizes.get(str(event.anchor), MOST_VALUES)  # one that is not closed yet holds itself
        elif anchor:
            sizes[anchor] = 1
        opened[-1] = (opened[-1][0], opened[-1][1] + size)
        if len(opened) > DEEPEST or opened[-1][1] > MOST_VALUES:
            raise UserError("not valid settings: nested too deep, or too many values", path)


def check_texts(value: Any, path: Path) -> None:
    """Refuse texts that a terminal would obey, or that hide or reorder what is read: titles and names are shown."""
    if isinstance(value, dict):
        for key, inside in value.items():
            check_texts(key, path)
            check_texts(inside, path)
    elif isinstance(value, list):
        for inside in value:
            check_texts(inside, path)
    elif isinstance(value, str) and printable(value) != value:
        raise UserError(f"a text with characters that can't be seen: {printable(value)[:80]}", path)


def read_yaml(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise UserError("missing settings file", path)
    text = read_text(path, LARGEST)
    try:
        check_size(text, path)
        values = yaml.load(text, Loader=Loader)
        check_texts(values, path)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}, " if error.problem_mark else ""
        raise UserError(f"not valid YAML: {line}{error.problem or error.context}", path) from None
    except (yaml.YAMLError, ValueError) as error:  # a ValueError: a number or a date that is none
        raise UserError(f"not valid YAML: {error}", path) from None
    except (LookupError, AttributeError, TypeError):  # what PyYAML raises at `!!bool x` and the like
        raise UserError("not valid YAML: a value that is not of its tag's type", path) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError("a settings file holds keys and values", path)
    return values
