"""The headline file: the paper scale's table as results/table.csv."""

from pathlib import Path

from deepscaler import foreign, settings
from deepscaler.errors import JobError
from deepscaler.files import read_text, write_text


def publish_table(*, scale: str, table: Path, output: Path) -> None:
    """Copy a scale's table to where the headline command asks for it, once it has a row for each of its systems."""
    text, rows = read_text(table), list(foreign.csv_rows(table))
    expected = len(settings.load_scale(scale).evaluation.systems)
    if len(rows) < expected:
        raise JobError(f"the table has {len(rows)} rows for {expected} systems", table, "remove it to make it anew")
    write_text(output, text)
