"""Which settings a piece of code reads: every attribute of every settings section, by its dotted path."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from deepscaler import settings
from deepscaler.dag import digests
from deepscaler.settings.base import Strict

SCALE = "mini"


def roots() -> dict[str, Strict]:
    """All settings of the scale, its recipe, and all entries."""
    scale = settings.load_scale(SCALE)
    assert scale.training is not None
    entries = {"models": settings.systems(), "benchmarks": settings.benchmarks(), "sources": settings.sources()}
    named = {f"{kind}.{name}": entry for kind, known in entries.items() for name, entry in known.items()}
    return {"scale": scale, "recipe": settings.load_recipe(scale.training.recipe), **named}


def sections(value: Any, path: str) -> Iterator[tuple[str, Strict]]:
    """Every section at or below a value, with its path; of a list the elements by their number."""
    if isinstance(value, Strict):
        yield path, value
        inner: Any = [(name, getattr(value, name)) for name in type(value).model_fields]
    elif isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list | tuple):
        inner = enumerate(value)
    else:
        return
    for name, below in inner:
        yield from sections(below, f"{path}.{name}")


def leaves(path: str, section: Strict) -> Iterator[str]:
    """The paths of a section's own settings: what holds sections is none."""
    for name in type(section).model_fields:
        if not list(sections(getattr(section, name), "")):
            yield f"{path}.{name}"


class Trace:
    """What was read, and what the digest of a rule counted, each as paths of single settings."""

    def __init__(self) -> None:
        self.sections = [entry for name, root in roots().items() for entry in sections(root, name)]
        self.paths = {id(section): path for path, section in self.sections}
        self.read: set[str] = set()

    def all(self) -> set[str]:
        return {leaf for path, section in self.sections for leaf in leaves(path, section)}

    def note(self, section: Any, name: str | None = None) -> None:
        path = self.paths.get(id(section))
        if path is None:
            return
        below = f"{path}.{name}" if name else path
        self.read |= {leaf for leaf in self.all_cached() if leaf == below or (not name and leaf.startswith(below))}

    def all_cached(self) -> set[str]:
        if not hasattr(self, "known"):
            self.known = self.all()
        return self.known

    @contextmanager
    def reading(self) -> Iterator[set[str]]:
        """The settings that are read within."""
        self.all_cached()
        self.read = set()
        plain, dump = Strict.__getattribute__, Strict.model_dump

        def getattribute(section: Any, name: str) -> Any:
            if name in ("__dict__", "__iter__"):
                self.note(section)
            elif not name.startswith("_"):
                self.note(section, name)
            return plain(section, name)

        def model_dump(section: Any, **options: Any) -> Any:
            for _, inner in sections_silently(section):
                self.note(inner)
            return dump(section, **options)

        def sections_silently(section: Any) -> list[tuple[str, Strict]]:
            path = self.paths.get(id(section))
            return [(p, s) for p, s in self.sections if path and (p == path or p.startswith(f"{path}."))]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Strict, "__getattribute__", getattribute)
            patch.setattr(Strict, "model_dump", model_dump)
            yield self.read

    def counted(self, rule: str, **wildcards: str) -> tuple[set[str], dict[str, str]]:
        """What a rule's digest counts, and what it passes over with the reason."""
        found: set[str] = set()
        passed: dict[str, str] = {}
        plain = digests.counted

        def counted(model: Any, without: Any, prefix: str = "") -> Any:
            root = self.paths[id(model)]
            for path, section in sections(model, root):
                for leaf in leaves(path, section):
                    key = leaf.removeprefix(f"{root}.")
                    reason = next((why for name, why in without.items() if f"{key}.".startswith(f"{name}.")), None)
                    if reason is None:
                        found.add(leaf)
                    else:
                        passed[leaf] = reason
            return plain(model, without, prefix)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(digests, "counted", counted)
            decided = digests.deciding(rule, SCALE, **wildcards)
        found |= {leaf for leaf in self.all() if leaf.removeprefix("scale.") in decided}
        return found, {leaf: why for leaf, why in passed.items() if leaf not in found}
