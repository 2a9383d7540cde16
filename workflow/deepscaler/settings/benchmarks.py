"""The test sets: config/benchmarks.yaml."""

from typing import Literal, Self

from pydantic import Field, model_validator

from deepscaler.settings.base import Name, Strict, check_origin


class Fields(Strict):
    """Which of a data file's columns hold what we call …"""

    problem: str
    """Column with the problem's text."""
    answers: str
    """A string, a number, or a list of accepted ones."""


class Benchmark(Strict):
    title: str
    """As tables and figures show it."""
    column: str
    """Its column in table.csv."""
    kind: Literal["hub", "github", "synthetic"]
    """What the entry is."""
    size: int = Field(gt=0)
    """Problems; a set of another size is refused."""
    repository: str | None = None
    """`owner/name` on the hub or on GitHub, or a folder: `file:///…`."""
    revision: str | None = None
    """The commit."""
    files: dict[str, str | None] = {}
    """Data file in the repository → its SHA-256, null where no one could check it. Read in this order."""
    fields: Fields
    flags: dict[str, list[int]] = {}
    """Known defect → the indices (from 0) of the problems that have it. They are marked, never dropped."""
    licence: str | None = None
    """As its owners state it."""
    redistribution: Literal["yes", "no", "unclear"] | None = None
    """Whether an archive may pass on its problems; None: as unclear. Those drawn here always are."""
    citation: str | None = None
    """What to cite."""
    note: str | None = None
    """For readers."""

    @model_validator(mode="after")
    def has_an_origin(self) -> Self:
        check_origin(self.kind, self.repository, self.revision, self.files)
        for flag, indices in self.flags.items():
            if any(not 0 <= index < self.size for index in indices):
                raise ValueError(f"flag {flag!r} names a problem beyond the set's {self.size}")
        return self


class BenchmarkFile(Strict):
    benchmarks: dict[Name, Benchmark]
