"""report.html: one page, self-contained, for a first look at everything that a scale gave."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.files import read_bytes, write_text
from deepscaler.reporting.claims.counts import NOT_YET, by_chance, counts, without_verdict
from deepscaler.reporting.claims.results import Results, Row, number
from deepscaler.reporting.report.examples import examples
from deepscaler.settings.yaml_files import read_yaml
from deepscaler.text import printable

TEMPLATES = Path(__file__).parent / "templates"
CAPTIONS = {
    1: "Pass@1 on {aime} along training, 16 samples a problem. The band is the 95 % interval of sampling, problems "
    "being the same at every step; dotted lines: the switches to longer contexts.",
    2: "Mean response length and training reward of each step, and their moving average, begun anew with each stage.",
    3: "The same at the end of the first stage: its last third, or six steps where that is less.",
    4: "Share of a step's responses that were cut off at the stage's limit.",
    5: "Pass@1 on {aime} against model size, or by system where all are of one size, with the 95 % interval of other "
    "problems and other samples.",
}
SECTIONS = (
    ("table", "Pass@1"),
    ("figures", "Figures"),
    ("claims", "Claims"),
    ("tokens", "Lengths"),
    ("curation", "Data"),
    ("compute", "Compute"),
    ("examples", "Completions"),
    ("versions", "Versions"),
)
PAPER_COLUMNS = 7
"""Columns of table.csv that the paper's table has too."""
HEADINGS = {"cpu": "CPU", "gpu": "GPU", "gb": "(GB)"}
"""Words of columns' names that are written otherwise where people read them."""
SMALL_HOURS = 10
"""Of wall time in all, below which the ledger is shown in minutes."""


def write_report(*, scale: str, folder: Path, work: Path, output: Path) -> None:
    """Write the page from the files of results/{scale}, and a few completions from the work folder."""
    if not folder.is_dir():
        raise UserError("no such folder of results", folder)
    write_text(output, page_of(Results(scale, folder), work))


def page_of(results: Results, work: Path, so_far: str = "") -> str:
    """The page; `so_far` says how far a run is that goes on."""
    scale, folder = results.scale, results.folder
    page: str = environment().get_template("report.html.j2").render(
        scale=scale,
        so_far=so_far,
        description=settings.load_scale(scale).description,
        sections=SECTIONS,
        table=score_table(results),
        figures=list(figures(scale, folder)),
        claims=claim_groups(results.claims),
        counts=counts(results.claims),
        without_verdict=without_verdict(results.claims),
        by_chance=by_chance(results.claims),
        tokens=[token_row(scale, row) for row in results.tokens],
        curation=results.curation,
        compute=ledger(results),
        examples=list(examples(scale, work)),
        record=record(folder),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )  # fmt: skip
    return page


def environment() -> Any:
    """Jinja with escaping always on: completions and problems are untrusted text, which must not reorder others'."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, finalize=shown,
                       trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    made.filters |= {"plain": plain, "heading": heading, "chance": chance}
    return made


def shown(value: Any) -> Any:
    """A value as the page shows it: text without characters that reorder or hide what stands around them."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def plain(text: str) -> str:
    """A number as people read it: no exponent, no more than two decimals; other text as it is."""
    try:
        value = float(text)
    except ValueError:
        return text
    if value.is_integer() and "." not in text:  # a column of decimals keeps them
        return f"{value:,.0f}"
    if abs(value) < 0.01:
        return f"{value:.1g}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def heading(column: str) -> str:
    """A column's name as a title: `peak_memory_gb` is "peak memory (GB)"."""
    if column == "pass_at_1":
        return "Pass@1"
    return " ".join(HEADINGS.get(word, word) for word in column.split("_"))


def chance(share: str) -> str:
    """A share of runs in percent, which is never said to be none."""
    return "under 1 %" if float(share) < 0.01 else f"{100 * float(share):.0f} %"


def claim_groups(rows: list[Row]) -> list[tuple[str, list[Row], bool]]:
    """(title, claims, whether it is open at first): what this run says comes first, what needs no run later."""

    def of(kind: str, *verdicts: str) -> list[Row]:
        return [row for row in rows if row["kind"] == kind and row["verdict"] in verdicts]

    groups = [
        ("Measured, and outside", of("measured", "outside"), True),
        ("Measured, and met", of("measured", "met"), True),
        ("Illustrations: chance alone decides them too often to count", of("illustrative", "met", "outside"), False),
        ("Checks of what holds by construction", of("by construction", "met", "outside"), False),
        ("The paper's own arithmetic, which needs no run", of("arithmetic", "met", "outside"), False),
        ("Not yet: to be checked when the run has ended", [row for row in rows if row["verdict"] == NOT_YET], False),
        ("Not run at this scale", [row for row in rows if row["verdict"] == "not run"], False),
        ("Not measurable, with the reason", [row for row in rows if row["verdict"] == "not measurable"], False),
    ]
    return [group for group in groups if group[1]]


def column_titles(scale: str) -> dict[str, str]:
    """Column of the table → the title of the benchmark that stands in it at a scale."""
    tests = [settings.benchmarks()[name] for name in settings.load_scale(scale).evaluation.suites["table"]]
    return {test.column: test.title for test in tests}


def token_row(scale: str, row: Row) -> Row:
    """A row of tokens.csv as it is shown: the changes are left to the file."""
    titles = column_titles(scale)
    shown = {c: row[c] for c in row if c != "system" and not c.endswith("_change")}
    return shown | {"benchmark": titles.get(row["benchmark"], row["benchmark"])}


def ledger(results: Results) -> list[Row]:
    """compute.csv without the columns that say nothing here, and in minutes where hours would be fractions."""
    rows = results.compute
    if not rows:
        return []
    where = results.folder / "compute.csv"
    small = (number(rows[-1], "wall_hours", where) or 0) < SMALL_HOURS
    kept = [c for c in rows[0] if c in ("rule", "stage", "jobs") or any(number(row, c, where) for row in rows)]
    return [{in_unit(column, small): cell_in_unit(row, column, small, where) for column in kept} for row in rows]


def in_unit(column: str, small: bool) -> str:
    """A column's name in the unit that it is shown in, the same for all of its cells."""
    return column.replace("_hours", "_minutes") if small else column


def cell_in_unit(row: Row, column: str, small: bool, where: Path) -> str:
    hours = number(row, column, where) if small and column.endswith("_hours") else None
    return row[column] if hours is None else str(round(60 * hours, 2))


def score_table(results: Results) -> list[dict[str, Any]]:
    """Rows with a title and cells, each a value and its standard error; the best value of a column is marked."""
    if not results.table:
        return []
    columns = list(results.table[0])[1:PAPER_COLUMNS]
    titles = column_titles(results.scale)
    where = results.folder / "table.csv"
    values = {c: [number(row, c, where) for row in results.table] for c in columns}
    best = {c: max((v for v in values[c] if v is not None), default=None) for c in columns}
    return [
        {
            "title": row["model"],
            "cells": [
                {
                    "title": titles.get(column, column),
                    "value": values[column][index],
                    "error": number(row, f"{column}_standard_error", where),
                    "best": values[column][index] is not None and values[column][index] == best[column],
                }
                for column in columns
            ],
        }
        for index, row in enumerate(results.table)
    ]


def figures(scale: str, folder: Path) -> Any:
    """(number, caption, picture as a data address) of the figures that there are."""
    aime = column_titles(scale).get("aime_2024", "AIME 2024")
    for index, caption in CAPTIONS.items():
        path = folder / "figures" / f"figure-{index}.png"
        if path.is_file():
            picture = "data:image/png;base64," + base64.b64encode(read_bytes(path)).decode()
            yield index, caption.format(aime=aime), picture


def record(folder: Path) -> dict[str, Any]:
    """settings.yaml, for versions, seed and commit; the settings themselves as text."""
    path = folder / "settings.yaml"
    found = read_yaml(path) if path.is_file() else {}
    text = yaml.safe_dump(found.get("settings", {}), sort_keys=False, allow_unicode=True)
    return {
        "digest": found.get("digest", ""),
        "seed": found.get("seed", ""),
        "commit": found.get("commit") or "unknown",
        "versions": found.get("versions", {}),
        "settings": text,
    }
