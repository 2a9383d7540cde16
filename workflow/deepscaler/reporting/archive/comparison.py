"""A file of an archive beside the same file made again: what differs, by row, problem and sample."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from deepscaler import foreign, records
from deepscaler.errors import DeepscalerError
from deepscaler.files import lines_of, parse_json, read_json
from deepscaler.reporting import equality
from deepscaler.reporting.archive.opening import Archive
from deepscaler.reporting.provenance.verification.numbers import rows_differ, shape_differs, values_differ
from deepscaler.reporting.provenance.verification.samples import excused, key_of, short
from deepscaler.text import printable

SOURCE = "made again"
SHOWN = 5
"""Differences of one file that are named."""
OF_VERSIONS = {"versions", "grading", "processor"}
"""Where files say what made them: in other bytes, and no other values."""
MOST_COMPARED = 10_000
"""Differences of one file that are counted."""


@dataclass(frozen=True)
class Difference:
    """A file that came out otherwise."""

    name: str
    lines: tuple[str, ...]
    """The first differences within it; empty where all values are the same, in other bytes."""
    digests: tuple[str, str]
    """The archive's, and that of what was made again."""

    def __str__(self) -> str:
        ours, theirs = (digest[:12] for digest in self.digests)
        return (
            self.lines[0]
            if self.lines
            else f"{self.name}: the same values in other bytes, sha256 {ours}, {SOURCE} {theirs}"
        )


def difference(archive: Archive, name: str, fresh: Path) -> Difference | None:
    """How a file that was made again differs from the archive's, or None where it is equal to the byte."""
    kept = archive.path(name)
    made = equality.digest(fresh)
    there = equality.digest(kept) if archive.holds(name) else archive.manifest.files[name].sha256
    if made == there:
        return None
    if not archive.holds(name):
        return Difference(name, (f"{name}: sha256 {there[:12]}, {SOURCE} {made[:12]}",), (there, made))
    found = list(islice(within(name, kept, fresh), MOST_COMPARED))
    more = [f"{name}: … and {len(found) - SHOWN:,} more"] if len(found) > SHOWN else []
    return Difference(name, (*found[:SHOWN], *more), (there, made))


def within(name: str, kept: Path, fresh: Path) -> Iterator[str]:
    """The places at which two files differ; one line where the file's kind has none or it can't be read."""
    compare = {".parquet": tables, ".csv": cells, ".json": json_values, ".jsonl": lines, ".md": lines}
    try:
        yield from compare.get(kept.suffix, digests)(name, kept, fresh)
    except DeepscalerError as error:
        yield f"{name}: {error.what}"
    except (TypeError, KeyError, AttributeError, ValueError) as error:  # a table of other columns may hold anything
        yield f"{name}: malformed: {type(error).__name__}: {printable(str(error))[:100]}"


def tables(name: str, kept: Path, fresh: Path) -> Iterator[str]:
    """Parquet: what it says of itself, columns, rows by problem and sample."""
    stored, made = foreign.parquet(kept).read(), foreign.parquet(fresh).read()
    if stored.column_names != made.column_names:
        yield f"{name}: columns {', '.join(stored.column_names)[:200]}, {SOURCE} {', '.join(made.column_names)}"
        return
    ours, theirs = ({row_key(row): row for row in table.to_pylist()} for table in (stored, made))
    for key, expected in theirs.items():
        if key not in ours:
            yield f"{name}, {key}: the row is missing"
            continue
        for column, value in expected.items():
            if ours[key][column] != value and not excused(column, ours[key], expected):
                yield f"{name}, {key}, {column}: {differing(ours[key][column], value)}"
    if extra := [key for key in ours if key not in theirs]:
        yield f"{name}, {extra[0]}: {SOURCE} there is no such row"
    elif stored.num_rows != len(ours):
        yield f"{name}: a row stands there twice"
    about = records.metadata(kept), records.metadata(fresh)
    for key in sorted((about[0].keys() | about[1].keys()) - OF_VERSIONS):
        if about[0].get(key) != about[1].get(key):
            yield f"{name}, its {key}: {differing(about[0].get(key), about[1].get(key))}"


def row_key(row: dict[str, Any]) -> str:
    if "problem_id" not in row:
        return str(row.get("id"))
    problem, sample = key_of(row)
    return f"{problem} sample {sample}"


def differing(found: Any, expected: Any) -> str:
    """Two values; of long texts the part from shortly before they part."""
    if isinstance(found, str) and isinstance(expected, str):
        pairs = enumerate(zip_longest(found, expected))
        at = next((index for index, (one, other) in pairs if one != other), 0)
        if at > 30:
            found, expected = "…" + found[at - 20 :], "…" + expected[at - 20 :]
    return f"{short(found)}, {SOURCE} {short(expected)}"


def cells(name: str, kept: Path, fresh: Path) -> Iterator[str]:
    """CSV: columns, and rows by system, benchmark, step or claim; of training steps not their times."""
    rows = list(foreign.csv_rows(fresh))
    if kept.name == equality.WITHOUT_SECONDS:
        stored, made = (list(csv.DictReader(io.StringIO(equality.untimed(path)))) for path in (kept, fresh))
        yield from rows_differ(name, stored, made, SOURCE)
    else:
        yield from shape_differs(name, kept, rows)
        yield from rows_differ(name, list(foreign.csv_rows(kept)), rows, SOURCE)


def json_values(name: str, kept: Path, fresh: Path) -> Iterator[str]:
    stored, made = (without_versions(read_json(path)) for path in (kept, fresh))
    yield from values_differ(name, stored, made, SOURCE)


def without_versions(value: Any) -> Any:
    """JSON without what names packages and processors."""
    if isinstance(value, dict):
        return {key: without_versions(inside) for key, inside in value.items() if key not in OF_VERSIONS}
    return [without_versions(inside) for inside in value] if isinstance(value, list) else value


def lines(name: str, kept: Path, fresh: Path) -> Iterator[str]:
    """Text by its lines; of JSON lines the id or the values that differ."""
    for number, (ours, theirs) in enumerate(zip_longest(lines_of(kept), lines_of(fresh)), start=1):
        if ours == theirs:
            continue
        where = f"{name}, line {number}"
        if ours is None or theirs is None:
            yield f"{where}: {'the line is missing' if ours is None else f'{SOURCE} there is no such line'}"
        elif kept.suffix == ".jsonl":
            yield from values_differ(where, parse_json(ours, where), parse_json(theirs), SOURCE)
        else:
            yield f"{where}: {differing(ours.decode(errors='replace'), theirs.decode(errors='replace'))}"


def digests(name: str, kept: Path, fresh: Path) -> Iterator[str]:
    yield f"{name}: sha256 {equality.digest(kept)[:12]}, {SOURCE} {equality.digest(fresh)[:12]}"
