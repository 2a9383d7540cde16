"""Scores, tables, training steps and claims made again, by the verbs that made them, and compared cell by cell."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deepscaler import dag, foreign, settings
from deepscaler.errors import DeepscalerError
from deepscaler.evaluation import markdown, tabulate
from deepscaler.evaluation.curve import curve_csv
from deepscaler.evaluation.score import scores_of
from deepscaler.evaluation.table_rows import AVERAGE, Row, table_columns, table_rows, write_csv
from deepscaler.files import read_json, read_text, write_json
from deepscaler.reporting.claims.check_claims import as_row, findings
from deepscaler.reporting.claims.results import Results
from deepscaler.reporting.file_names import path_of
from deepscaler.settings.claims import claims
from deepscaler.training.collect_metrics import collect_metrics

TOLERANCE = 1e-6
"""By which two numbers may differ, relative to the larger: what other versions of NumPy may do to the last digits."""
Cells = dict[str, str]
KEYS = ("system", "model", "benchmark", "against", "comparison", "total_step", "id")
"""Columns that name a row of a table."""


class Numbers:
    """The numbers of a scale's results, made again from the grades; what differs comes as lines."""

    def __init__(self, results: Results) -> None:
        self.results, self.scale = results, results.scale
        self.scores: dict[tuple[str, str], dict[str, Any]] = {}

    def differences(self) -> Iterator[str]:
        """All of them, of every system and file."""
        yield from self.scores_differ(dag.scored(self.scale))
        yield from self.tables_differ()
        yield from self.training_differs()
        yield from self.claims_differ()

    def cell_differs(self, system: str, column: str) -> Iterator[str]:
        """A system's scores, and of its row of the table the cell, its error and where it comes from."""
        yield from self.scores_differ([(system, "table")])
        if (system, "table") not in self.scores:
            return
        columns = table_columns(self.scale)
        row = Row(system, settings.systems()[system], self.scores[system, "table"], tuple(columns))
        shown = (
            "model",
            *((*columns, AVERAGE) if column == AVERAGE else (column,)),
            *(f"{name}_standard_error" for name in ((*columns, AVERAGE) if column == AVERAGE else (column,))),
            *tabulate.PROVENANCE,
        )
        fresh = [{key: value for key, value in cells.items() if key in shown} for cells in self.table_of([row])]
        stored = [
            {key: value for key, value in cells.items() if key in shown}
            for cells in self.results.table
            if cells.get("system") == system
        ]
        yield from shape_differs("table.csv", self.results.folder / "table.csv", self.table_of([row]))
        yield from rows_differ("table.csv", stored, fresh, "its grades give")

    def scores_differ(self, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
        for system, suite in pairs:
            grades, name = f"work/{self.scale}/grades/{system}/{suite}.parquet", f"scores/{system}-{suite}.json"
            path = self.results.folder / name
            if not path_of(grades).is_file() or not path.is_file():
                yield f"{name if path_of(grades).is_file() else grades}: is gone"
                continue
            try:
                fresh = self.scores[system, suite] = scores_of(self.scale, system, suite, path_of(grades))
            except DeepscalerError as error:
                yield f"{name}: its grades give no scores: {error.what}"
                continue
            yield from values_differ(name, read_json(path), fresh, "its grades give")

    def tables_differ(self) -> Iterator[str]:
        """The tables that `tabulate` makes of the scores."""
        if any((system, "table") not in self.scores for system in dag.evaluated(self.scale)):
            return  # said before
        with TemporaryDirectory(prefix="deepscaler-verify-") as folder:
            paths = [Path(folder) / f"{system}.json" for system in dag.evaluated(self.scale)]
            for system, path in zip(dag.evaluated(self.scale), paths, strict=True):
                write_json(path, self.scores[system, "table"])
            rows = table_rows(self.scale, paths)
        columns = table_columns(self.scale)
        grades = [path_of(f"work/{self.scale}/grades/{system}/table.parquet") for system in dag.evaluated(self.scale)]
        base, pairs = settings.load_scale(self.scale).base, tabulate.comparisons_csv(self.scale, rows, columns)
        for name, fresh in (
            ("table.csv", self.table_of(rows)),
            ("tokens.csv", cells_of(tabulate.tokens_csv(rows, columns, base), tabulate.TOKEN_COLUMNS)),
            ("agreement.csv", cells_of(tabulate.agreement_csv(rows, columns, grades), tabulate.AGREEMENT_COLUMNS)),
            ("comparisons.csv", cells_of(pairs, tabulate.COMPARISON_COLUMNS)),
            ("curve.csv", cells_of(curve_csv(self.scale, self.scores.values()), tabulate.CURVE_COLUMNS)),
        ):
            yield from self.table_differs(name, fresh, "its grades give")
        path = self.results.folder / "table.md"
        if not path.is_file():
            yield "table.md: is gone"
        elif read_text(path) != markdown.table_markdown(self.scale, rows, columns):
            yield "table.md: is not the table that the grades give"

    def table_of(self, rows: Sequence[Row]) -> list[Cells]:
        columns = table_columns(self.scale)
        paper = [f"{column}_paper" for column in markdown.compared_columns(self.scale, columns)]
        errors = [f"{column}_standard_error" for column in (*columns, AVERAGE)]
        names = [*tabulate.head(columns), *errors, *paper, *tabulate.PROVENANCE]
        return cells_of(tabulate.table_csv(rows, columns, paper), names)

    def training_differs(self) -> Iterator[str]:
        """training.csv against the metrics in the checkpoints."""
        chain = dag.segments(self.scale)
        names = [f"work/{self.scale}/checkpoints/{segment.id}/metrics.jsonl" for segment in chain]
        if gone := [name for name in names if not path_of(name).is_file()]:
            yield from (f"{name}: is gone" for name in gone)
        elif chain:
            with TemporaryDirectory(prefix="deepscaler-verify-") as folder:
                fresh = Path(folder) / "training.csv"
                try:
                    collect_metrics(scale_name=self.scale, metrics=[path_of(name) for name in names], output=fresh)
                except DeepscalerError as error:
                    yield f"training.csv: {error.what}"
                    return
                yield from self.table_differs("training.csv", list(foreign.csv_rows(fresh)), "the checkpoints give")

    def claims_differ(self) -> Iterator[str]:
        """claims.csv against the results, by the claims of this checkout."""
        file = claims(settings.project_root() / "config" / "claims.yaml")
        fresh = [as_row(self.scale, file, finding) for finding in findings(self.results, file)]
        yield from self.table_differs("claims.csv", fresh, "the results give")

    def table_differs(self, name: str, fresh: list[Cells], source: str) -> Iterator[str]:
        path = self.results.folder / name
        if path.is_file():
            yield from shape_differs(name, path, fresh)
            yield from rows_differ(name, list(foreign.csv_rows(path)), fresh, source)
        else:
            yield f"{name}: is gone"


def cells_of(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> list[Cells]:
    """Rows as they stand in a CSV file."""
    with TemporaryDirectory(prefix="deepscaler-verify-") as folder:
        write_csv(Path(folder) / "table.csv", rows, columns)
        return list(csv.DictReader(io.StringIO(read_text(Path(folder) / "table.csv"), newline="")))


def shape_differs(name: str, path: Path, fresh: Sequence[Cells]) -> Iterator[str]:
    """Columns too many, twice or elsewhere, and cells beyond them: people would see numbers that nobody computed."""
    header, *rows = [*foreign.csv_cells(path)] or [[]]
    if fresh and header != list(fresh[0]):
        twice = sorted({column for column in header if header.count(column) > 1})
        others = [column for column in header if column not in fresh[0]] + twice
        yield f"{name}: columns that are not the workflow's: {', '.join(others)[:200] or 'in another order'}"
    if any(len(row) > len(header) for row in rows):
        yield f"{name}: cells beyond the last column"


def rows_differ(name: str, stored: list[Cells], fresh: list[Cells], source: str) -> Iterator[str]:
    """Cells that differ, rows that are missing, and rows too many."""
    ours, theirs = ({named(row): row for row in rows} for rows in (fresh, stored))
    for row in ours:
        if row not in theirs:
            yield f"{name}, {row}: the row is missing"
            continue
        for column, expected in ours[row].items():
            found = theirs[row].get(column, "")
            if not same(found, expected):
                yield f"{name}, {row}, {column}: {found[:60]}, {source} {expected[:60]}"
    if extra := [row for row in theirs if row not in ours]:
        yield f"{name}, {extra[0]}: {source} no such row"
    elif len(stored) > len(theirs):
        yield f"{name}: a row stands there twice"


def named(row: Cells) -> str:
    """The columns that name a row; a title says nothing where there is a system."""
    keys = [key for key in KEYS if row.get(key) and not (key == "model" and row.get("system", "-") != "-")]
    return ", ".join(row[key] for key in keys)


def values_differ(name: str, stored: Any, fresh: Any, source: str, where: str = "") -> Iterator[str]:
    """Values of JSON that differ, by their place."""
    if isinstance(stored, dict) and isinstance(fresh, dict) and stored.keys() == fresh.keys():
        for key in fresh:
            yield from values_differ(name, stored[key], fresh[key], source, f"{where}, {key}")
    elif isinstance(stored, list) and isinstance(fresh, list) and len(stored) == len(fresh):
        for number, (one, other) in enumerate(zip(stored, fresh, strict=True)):
            yield from values_differ(name, one, other, source, f"{where} {number}")
    elif stored != fresh and not same(str(stored), str(fresh)):
        yield f"{name}{where}: {str(stored)[:60]}, {source} {str(fresh)[:60]}"


def same(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        first, second = float(one), float(other)
    except ValueError:
        return False
    if not math.isfinite(first - second):
        return False  # by whose measure every number is near
    return abs(first - second) <= TOLERANCE * max(abs(first), abs(second))
