"""report.html of a rehearsal: one line, and the table of what was checked."""

from itertools import groupby
from pathlib import Path
from typing import Any

from deepscaler.files import write_text
from deepscaler.reporting.report.write_report import environment
from deepscaler.settings import load_scale

Json = dict[str, Any]


def write_page(verdict: Json, output: Path) -> None:
    groups = [(name, list(rows)) for name, rows in groupby(by_where(verdict["checks"]), key=lambda row: row["where"])]
    template = environment().get_template("rehearsal.html.j2")
    description = load_scale(verdict["scale"]).description
    write_text(output, template.render(verdict=verdict, groups=groups, description=description))


def by_where(rows: list[Json]) -> list[Json]:
    """Stage by stage, in the order in which they first come."""
    order = list(dict.fromkeys(row["where"] for row in rows))
    return sorted(rows, key=lambda row: order.index(row["where"]))
