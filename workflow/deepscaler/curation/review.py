"""Pairs for people to review: a CSV that a spreadsheet opens, the most similar first."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepscaler.files import writing
from deepscaler.text import cell

COLUMNS = ("kind", "decision", "score", "id", "twin", "answer", "other_answer", "problem", "other_problem")


def write_review(path: Path, rows: Iterable[dict[str, Any]], columns: tuple[str, ...] = COLUMNS) -> None:
    """Write rows with the keys of `columns`; what a row lacks stays empty."""
    with writing(path) as aside, aside.open("w", encoding="utf-8", newline="") as handle:
        table = csv.DictWriter(handle, columns, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows({key: cell(value) for key, value in row.items()} for row in rows)
