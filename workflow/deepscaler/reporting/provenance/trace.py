"""A cell's lineage, from the number to completions, checkpoint, recipe, prompts and sources, and its verification."""

from pathlib import Path
from typing import Any

from deepscaler import dag, settings
from deepscaler.errors import UserError, refuse_unknown
from deepscaler.files import read_json
from deepscaler.reporting.claims.results import Results, read_rows
from deepscaler.reporting.file_names import name_of, path_of
from deepscaler.reporting.provenance.lineage import CRATE, InputFilter, Lineage, Source
from deepscaler.reporting.provenance.record_provenance import MANIFESTS
from deepscaler.reporting.provenance.verification.verify import Cell
from deepscaler.reporting.provenance.verification.verify import verify as verify_all
from deepscaler.settings.models import Reported
from deepscaler.text import printable


def trace(
    *, table: Path, row: str | None, column: str | None, verify: bool, share: float = 1.0, threads: int = 1
) -> None:
    """Print where a table came from, or one cell of it; with `verify`, do again what led from samples to numbers.

    `share` of the completions is graded again, drawn at random.

    Raises:
        JobError: a file differs from the record, or a number from what it should follow from; each is named.
    """
    if not table.is_file():
        raise UserError("no such file", table)
    if column and not row:
        raise UserError("`--column` needs a `--row`", column, f"the rows are systems: {', '.join(rows_of(table))}")
    if verify and table.resolve().name != "table.csv":
        raise UserError("`--verify` is of a table.csv and what lies beside it", table, "name the scale's table.csv")
    scale = table.resolve().parent.name
    results = Results(scale, table.resolve().parent)
    cell = Cell(system_of(scale, row), column or "average") if row else None
    belongs, lineage = input_filter(scale, cell), Lineage.read(results.folder / CRATE)
    if cell:
        print(printable(describe(results, cell)))
    walked = list(lineage.walk(name_of(str(table.resolve())), belongs))
    for depth, source, repeated in walked:
        print(printable(line_of(depth, source, repeated)))
    if verify:
        sources = [source for _, source, repeated in walked if not repeated]
        verify_all(results, cell, sources, lineage, share, threads)


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
