"""The headline file: the paper scale's table as results/table.csv."""

import csv
from pathlib import Path

from deepscaler import settings
from deepscaler.errors import JobError
from deepscaler.files import write_text


def publish_table(*, scale: str, table: Path, output: Path) -> None:
    """Copy a scale's table to where the headline command asks for it, once it has a row for each of its systems."""
    text = table.read_text(encoding="utf-8")
    rows = list(csv.reader(text.splitlines()))
    expected = len(settings.load_scale(scale).evaluation.systems)
    if len(rows) - 1 < expected:
        raise JobError(f"the table has {len(rows) - 1} rows for {expected} systems", table, "remove it to make it anew")
    write_text(output, text)
