"""A cell's lineage, from the number to completions, checkpoint, recipe, prompts and sources, and its verification."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepscaler import dag, records, settings
from deepscaler.errors import JobError, UserError, refuse_unknown
from deepscaler.files import read_json, sha256
from deepscaler.reporting.claims.results import Results, read_rows
from deepscaler.reporting.file_names import name_of, path_of
from deepscaler.reporting.provenance.lineage import CRATE, InputFilter, Lineage, Source
from deepscaler.reporting.provenance.record_provenance import MANIFESTS
from deepscaler.settings.models import Reported

TOLERANCE = 0.001
"""Percentage points by which a cell may differ from its grades: what rounding does."""


@dataclass(frozen=True)
class Cell:
    """A row and a column of table.csv."""

    system: str
    column: str


def trace(*, table: Path, row: str | None, column: str | None, verify: bool) -> None:
    """Print where a table came from, or one cell of it; with `verify`, compare all of it with the record.

    Raises:
        JobError: a file differs from the record, or a number from its grades; each is named.
    """
    if not table.is_file():
        raise UserError("no such file", table)
    if column and not row:
        raise UserError("`--column` needs a `--row`", column, f"the rows are systems: {', '.join(rows_of(table))}")
    scale = table.resolve().parent.name
    results = Results(scale, table.resolve().parent)
    cell = Cell(system_of(scale, row), column or "average") if row else None
    belongs, lineage = input_filter(scale, cell), Lineage.read(results.folder / CRATE)
    if cell:
        print(describe(results, cell))
    walked = list(lineage.walk(name_of(str(table.resolve())), belongs))
    for depth, source, repeated in walked:
        print(line_of(depth, source, repeated))
    if verify:
        refuse_differences(
            verify_sources([source for _, source, repeated in walked if not repeated], lineage), results, cell
        )


def rows_of(table: Path) -> list[str]:
    return [row["system"] for row in read_rows(table) if row.get("system")]


def system_of(scale: str, row: str) -> str:
    """The system of a row, by its name or its title."""
    known = settings.load_scale(scale).evaluation.systems
    for system in known:
        if row in (system, settings.systems()[system].title):
            return system
    raise refuse_unknown("row", row, known, f"table of {scale}")


def input_filter(scale: str, cell: Cell | None) -> InputFilter:
    """What of the lineage belongs to a cell."""
    if cell is None:
        return InputFilter()
    entry = settings.systems()[cell.system]
    if isinstance(entry, Reported):
        raise UserError(f"{cell.system!r} was not measured here", hint=f"its numbers are from {entry.source}")
    tests = benchmarks_of(scale)
    if cell.column not in (*tests, "average"):
        raise refuse_unknown("column", cell.column, [*tests, "average"], f"table of {scale}")
    systems = frozenset(dag.evaluated(scale)) - {cell.system}
    return InputFilter(
        systems, frozenset(name for column, name in tests.items() if cell.column not in (column, "average"))
    )


def benchmarks_of(scale: str) -> dict[str, str]:
    """Column of the table → benchmark."""
    return {settings.benchmarks()[name].column: name for name in settings.load_scale(scale).evaluation.suites["table"]}


def describe(results: Results, cell: Cell) -> str:
    estimate = results.cell(cell.system, cell.column)
    if estimate is None:
        raise UserError("the table has no such cell", f"{cell.system}, {cell.column}")
    error = f", standard error {estimate.standard_error:.2f}" if estimate.standard_error is not None else ""
    return f"{settings.systems()[cell.system].title}, {cell.column}: {estimate.value:g} %{error}"


def line_of(depth: int, source: Source, repeated: bool) -> str:
    """One file: its name, digest and job, and for a manifest its metadata."""
    head = "  " * depth + source.name
    if repeated:
        return f"{head}  (above)"
    maker = f"  {source.rule} {source.started}" if source.rule else ""
    return f"{head}  sha256 {source.digest[:12]}{maker}{metadata_of(source.name)}"


def metadata_of(name: str) -> str:
    """Origin and seed of a checkpoint or a model, from its manifest."""
    path = path_of(name)
    if not name.endswith(MANIFESTS) or not path.is_file():
        return ""
    manifest: dict[str, Any] = read_json(path)
    metadata = {key: manifest.get(key) for key in ("repository", "revision", "seed", "total_step", "recipe_digest")}
    return "".join(f"  {key} {str(value)[:12]}" for key, value in metadata.items() if value is not None)


def verify_sources(walked: list[Source], lineage: Lineage) -> Iterator[str]:
    """What differs from its record, one line each: the files of a lineage, and the weights beside manifests."""
    folders = {source.name.rsplit("/", 1)[0] + "/" for source in walked if source.name.endswith(MANIFESTS)}
    beside = [s for name, s in lineage.sources.items() if any(name.startswith(folder) for folder in folders)]
    for source in {source.name: source for source in (*walked, *beside)}.values():
        path = path_of(source.name)
        if not path.is_file():
            yield f"{source.name}: is gone"
        elif (found := sha256(path)) != source.digest:
            yield f"{source.name}: sha256 is {found[:12]}, recorded {source.digest[:12]}"


def refuse_differences(differences: Iterator[str], results: Results, cell: Cell | None) -> None:
    found = [*differences, *recompute(results, cell)]
    for line in found:
        print(f"DIFFERS  {line}")
    if found:
        raise JobError(f"{len(found)} things differ from the record, first: {found[0]}", results.folder)
    print("Verified: every file is as recorded, and the numbers follow from the grades.")


def recompute(results: Results, cell: Cell | None) -> Iterator[str]:
    """Cells that do not follow from the grades that they were made of."""
    tests = benchmarks_of(results.scale)
    for system in [cell.system] if cell else dag.evaluated(results.scale):
        path = path_of(f"work/{results.scale}/grades/{system}/table.parquet")
        if not path.is_file():
            yield f"{name_of(str(path))}: is gone"
            continue
        grader = settings.load_scale(results.scale).evaluation.grader
        graded = records.read(path, records.GRADE).select(["benchmark", grader]).to_pylist()
        for column, benchmark in tests.items():
            estimate = results.cell(system, column)
            verdicts = [row[grader] for row in graded if row["benchmark"] == benchmark]
            if cell and cell.column not in (column, "average"):
                continue
            expected = 100 * sum(verdicts) / len(verdicts) if verdicts else float("nan")
            if estimate is None or not abs(estimate.value - expected) <= TOLERANCE:
                value = estimate.value if estimate else None
                yield f"{results.folder.name}/table.csv, {system}, {column}: {value}, its grades give {expected:.2f}"
