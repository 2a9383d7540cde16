"""The test sets: config/benchmarks.yaml."""

from typing import Literal

from deepscaler.settings.base import Name, Strict


class Benchmark(Strict):
    title: str
    column: str
    """Its column in table.csv."""
    kind: Literal["hub", "synthetic"]
    size: int
    repository: str | None = None
    revision: str | None = None
    files: list[str] = []
    fields: dict[str, str] = {}
    licence: str | None = None
    citation: str | None = None
    note: str | None = None


class BenchmarkFile(Strict):
    benchmarks: dict[Name, Benchmark]
