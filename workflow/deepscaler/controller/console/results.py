"""The table that a run ends with, for a terminal."""

import csv
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from deepscaler import settings
from deepscaler.evaluation.table_rows import AVERAGE
from deepscaler.text import printable

ERROR = "_standard_error"
WITH_ERRORS = 110
"""Columns from which on standard errors fit beside the values."""


def results_table(scale: str, path: Path, columns: int, plain: bool) -> Table | None:
    """The table of a scale's results/{scale}/table.csv; None where it can't be read. The best of a column is bold."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, ValueError):
        return None
    names = [name for name in (rows[0] if rows else {}) if f"{name}{ERROR}" in rows[0]]
    if not names:
        return None
    titles = {entry.column: entry.title for entry in settings.benchmarks().values() if scale_has(scale, entry.column)}
    titles[AVERAGE] = "Average"
    table = Table(
        box=box.ASCII2 if plain else box.SIMPLE_HEAD,
        title_justify="left",
        header_style="bold",
        pad_edge=False,
        collapse_padding=True,
    )
    table.title = Text(f"Pass@1 in percent, {scale}")
    table.add_column("Model", no_wrap=True)
    for name in names:
        title = titles.get(name, name).removesuffix(f" ({scale})")
        table.add_column(
            title if columns >= WITH_ERRORS else title.replace(" ", "\n"), justify="right", overflow="fold"
        )
    best = {
        name: max((value for row in rows if (value := number(row[name])) is not None), default=None) for name in names
    }
    for row in rows:
        table.add_row(Text(printable(row["model"])), *(cell(row, name, best[name], columns, plain) for name in names))
    return table


def cell(row: dict[str, str], name: str, best: float | None, columns: int, plain: bool) -> Text:
    value, error = number(row[name]), number(row[f"{name}{ERROR}"])
    if value is None:
        return Text("-", "dim")
    text = Text(f"{value:.1f}", "bold green" if value == best else "")
    if error is not None and columns >= WITH_ERRORS:
        text.append(f" {'+-' if plain else '±'} {error:.1f}", "dim")
    return text


def number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def scale_has(scale: str, column: str) -> bool:
    suites = settings.load_scale(scale).evaluation.suites
    return any(settings.benchmarks()[name].column == column for name in suites.get("table", []))
