"""Rows of data files, text as it is written, so that good rows stay.

No types are guessed, by which an answer NA would become nothing, and 1e5 and long integers lose their digits: a cell of
text stays text. A row that cannot be read is not dropped: it comes back as a `Row` with its defect, and leaves by name
further on.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepscaler import foreign
from deepscaler.errors import UserError
from deepscaler.files import lines_of, read_bytes
from deepscaler.hub import first_line

REPLACEMENT = "\ufffd"
DEEPEST = 64
"""Levels of lists and objects in a row. What can just be read might not be written again, further down the stack."""


@dataclass(frozen=True)
class Row:
    values: dict[str, Any]
    defect: str | None = None


def read_rows(paths: list[Path]) -> Iterator[Row]:
    """The rows of files in order. A UserError names a file that is no table at all: truncated, or of another kind."""
    for path in paths:
        if path.suffix not in READERS:
            raise UserError(f"unknown kind of data file {path.suffix!r}", path, f"known: {', '.join(READERS)}")
        if path.stat().st_size == 0:
            raise UserError("an empty file", path)
        yield from READERS[path.suffix](path)


def json_lines(path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines_of(path), start=1):
        if line.strip():
            yield json_row(line, f"line {number}")


def json_row(line: bytes, where: str) -> Row:
    """One line of JSON; the text of a broken one is kept as `raw`."""
    text = line.decode("utf-8", errors="replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Row({"raw": text.strip()}, f"{where} is not JSON")
    if not isinstance(value, dict):
        return Row({"raw": text.strip()}, f"{where} is no JSON object")
    return marked(value, where)


def marked(values: dict[str, Any], where: str) -> Row:
    """A row, with its defect where bytes had to be replaced to read it, or without values where they are too deep."""
    if is_deep(values):
        return Row({}, f"{where} is nested too deep")
    broken = any(isinstance(value, str) and REPLACEMENT in value for value in values.values())
    return Row(values, f"{where} has broken UTF-8" if broken else None)


def is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        inside = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [item for values in inside for item in values]
    return bool(level)


def json_list(path: Path) -> Iterator[Row]:
    text = read_bytes(path).decode("utf-8", errors="replace")
    if not text.lstrip().startswith("["):  # JSON lines, by another name
        yield from json_lines(path)
        return
    try:
        values = json.loads(text)
    except ValueError as error:
        raise UserError(f"not JSON: {first_line(error)}", path) from None
    except RecursionError:
        raise UserError("not JSON: nested too deep", path) from None
    for number, value in enumerate(values, start=1):
        row = marked(value, f"item {number}") if isinstance(value, dict) else None
        raw = "" if is_deep(value) else json.dumps(value)
        yield row or Row({"raw": raw}, f"item {number} is no JSON object")


def csv_rows(path: Path) -> Iterator[Row]:
    """Rows of CSV. One quote too many would hide all rows up to the next quote: then the file is refused."""
    text = read_bytes(path).decode("utf-8", errors="replace").replace("\0", REPLACEMENT)
    csv.field_size_limit(max(len(text), 1))
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for values in reader:
            where = f"line {reader.line_num}"
            surplus = values.pop(None, None)
            if surplus or None in values.values():
                yield Row(values, f"{where} has {'too many' if surplus else 'too few'} columns")
            else:
                yield marked(values, where)
    except csv.Error as error:
        raise UserError(f"not CSV: {first_line(error)} (after line {reader.line_num})", path) from None


def parquet_rows(path: Path) -> Iterator[Row]:
    """Rows of a Parquet file, each string checked; a truncated file has no index and is refused as a whole.

    Types are those of the columns: what else the file says of them, as that a text is the address of a picture, is for
    other programs.
    """
    number = 0
    try:
        for batch in foreign.parquet(path).iter_batches(1024):
            for values in batch_rows(batch):
                number += 1
                yield marked(values, f"row {number}")
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise UserError(f"not a whole Parquet file: {first_line(error)}", path) from None


def batch_rows(batch: Any) -> Iterable[dict[str, Any]]:
    """A record batch as dictionaries, with bytes that are no UTF-8 replaced."""
    import pyarrow as pa

    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            binary = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
            columns[name] = [
                value if value is None else value.decode("utf-8", errors="replace")
                for value in column.cast(binary).to_pylist()
            ]
        else:
            columns[name] = column.to_pylist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".json": json_list,
    ".jsonl": json_lines,
    ".csv": csv_rows,
    ".parquet": parquet_rows,
}
