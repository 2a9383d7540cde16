"""Where a file came from, read from a crate that `record_provenance` wrote."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepscaler.errors import UserError
from deepscaler.files import read_json
from deepscaler.reporting.file_names import name_of
from deepscaler.reporting.provenance.record_provenance import ADDRESS
from deepscaler.text import printable

CRATE = "ro-crate-metadata.json"
DEEPEST = 400
"""Jobs between a table and its first source: a chain of training has a few for each checkpoint."""
TEXTS = ("sha256", "name", "description", "startTime")
REFERENCES = ("object", "result")


@dataclass(frozen=True)
class Source:
    """A file of the record, and the job that made it."""

    name: str
    digest: str
    rule: str | None
    """None for what no job made: settings, code."""
    command: str
    started: str
    inputs: tuple[str, ...]


@dataclass
class Lineage:
    """The files of one crate, by name."""

    sources: dict[str, Source] = field(default_factory=dict)

    @classmethod
    def read(cls, crate: Path) -> "Lineage":
        if not crate.is_file():
            raise UserError("there is no record of provenance", crate, "the workflow makes it: snakemake SCALE")
        graph = graph_of(crate)
        inside = name_of(str(crate.resolve().parent)) + "/"
        entities = {entity["@id"]: entity for entity in graph}
        names = {
            identifier: identifier.removeprefix(ADDRESS) if identifier.startswith(ADDRESS) else inside + identifier
            for identifier, entity in entities.items()
            if "sha256" in entity
        }
        for name in names.values():
            if name.startswith("/") or ".." in name.split("/"):
                raise UserError(f"the record names a file outside of the checkout: {printable(name)}", crate)
        makers = {
            result: action
            for action in graph
            if action["@id"].startswith("#job-")
            for result in identifiers(action.get("result"))
        }
        return cls({name: source_of(entities[key], name, makers.get(key), names) for key, name in names.items()})

    def source(self, name: str) -> Source:
        if name not in self.sources:
            raise UserError("the record of provenance does not know this file", name, "was it made after the record?")
        return self.sources[name]

    def walk(self, name: str, belongs: "InputFilter") -> Iterator[tuple[int, Source, bool]]:
        """The file and all that it came from, depth first: (depth, source, whether it was shown before)."""
        yield from self.descend(name, belongs, 0, set())

    def descend(
        self, name: str, belongs: "InputFilter", depth: int, seen: set[str]
    ) -> Iterator[tuple[int, Source, bool]]:
        if depth > DEEPEST:
            raise UserError("the record's chain of jobs is too long to be one of this workflow", name)
        source = self.source(name)
        yield depth, source, name in seen
        if name in seen:
            return
        seen.add(name)
        for given in source.inputs:
            if given in self.sources and belongs(source.rule, given):
                yield from self.descend(given, belongs, depth + 1, seen)


def graph_of(crate: Path) -> list[dict[str, Any]]:
    """The entities of a crate in the shapes that `record_provenance` gives them, or a UserError."""
    content = read_json(crate)
    graph = content.get("@graph") if isinstance(content, dict) else None
    if not isinstance(graph, list):
        raise UserError("not an RO-Crate: it has no @graph", crate)
    for entity in graph:
        texts = [entity.get(key, "") for key in TEXTS] if isinstance(entity, dict) else [None]
        if not all(isinstance(text, str) for text in texts) or not isinstance(entity.get("@id"), str):
            raise UserError(
                "not an RO-Crate of this workflow: an entity without @id, or whose values are no texts", crate
            )
        references = [entry for key in REFERENCES for entry in as_list(entity.get(key))]
        if entity["@id"].startswith("#job-") and not all(
            isinstance(entry, dict) and isinstance(entry.get("@id"), str) for entry in references
        ):
            raise UserError(f"not an RO-Crate of this workflow: {entity['@id']} refers to no entities", crate)
    return graph


@dataclass(frozen=True)
class InputFilter:
    """Which inputs of a job belong to one cell of a table: those of its system and of its benchmark."""

    systems: frozenset[str] = frozenset()
    """Systems other than the cell's."""
    benchmarks: frozenset[str] = frozenset()
    """Benchmarks other than the cell's."""

    def __call__(self, rule: str | None, name: str) -> bool:
        *_, folder, file = ["", *name.split("/")]
        if rule == "tabulate":
            return not {folder, file.removesuffix("-table.json")} & self.systems
        if rule in ("sample", "grade_samples"):
            return file.removesuffix(".parquet") not in self.benchmarks
        return True


def identifiers(value: Any) -> list[str]:
    """The @ids of a JSON-LD value, which is one reference or a list of them."""
    return [entry["@id"] for entry in as_list(value)]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def source_of(entity: dict[str, Any], name: str, action: dict[str, Any] | None, names: dict[str, str]) -> Source:
    inputs = tuple(names[key] for key in identifiers(action.get("object")) if key in names) if action else ()
    return Source(
        name,
        entity["sha256"],
        action["name"] if action else None,
        action.get("description", "") if action else "",
        action.get("startTime", "") if action else "",
        inputs,
    )
