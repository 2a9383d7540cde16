"""Tables that others wrote: Parquet and CSV, bounded in size, also decoded, and of plain types only.

A Parquet file of some hundred kilobytes can decode to gigabytes: a value is stored once and referred to a million
times. So its texts are first read as references, and what they would take is added up before anything is built.
"""

import csv
import io
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deepscaler.errors import UserError
from deepscaler.files import opened, read_text

MOST_DECODED = 2 << 30
"""Bytes of a decoded table."""
MOST_VALUES = 200_000_000
"""Cells of a table, items of lists among them."""
BATCH_ROWS = 1024
DEEPEST = 8
"""Levels of lists and structures within a cell."""


def parquet(path: Path | str) -> pq.ParquetFile:
    """A Parquet file that is whole, of plain types, and not too large when decoded.

    Raises:
        UserError: it is not.
    """
    with opened(path):
        pass
    try:
        check_schema(pq.ParquetFile(path), path)
        check_decoded_size(path)
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise not_whole(path, error) from None


def parquet_metadata(path: Path | str) -> dict[str, str]:
    """The keys and values that a Parquet file keeps beside its table, or a UserError."""
    with opened(path):
        pass
    try:
        found = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise not_whole(path, error) from None
    return {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in found.items()}


def not_whole(path: Path | str, error: BaseException) -> UserError:
    return UserError(f"not a whole Parquet file: {next(iter(str(error).splitlines()), repr(error))}", path)


def check_schema(file: pq.ParquetFile, path: Path | str) -> None:
    for field in file.schema_arrow:
        if not is_plain(field.type):
            raise UserError(f"column {field.name!r} is of type {field.type}, which is not plain data", path)
    about = file.metadata
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(about.num_columns)]
    values = sum(chunk.num_values for chunk in chunks)
    stored = sum(chunk.total_uncompressed_size for chunk in chunks)
    if max(values, about.num_rows) > MOST_VALUES or stored > MOST_DECODED:
        raise too_large(path)


def is_plain(kind: pa.DataType, level: int = 0) -> bool:
    """Numbers, texts, bytes and times, lists and structures of them; no extension, whose reader may be anything."""
    if isinstance(kind, pa.BaseExtensionType) or level > DEEPEST:
        return False
    return all(is_plain(kind.field(n).type, level + 1) for n in range(kind.num_fields))


def check_decoded_size(path: Path | str) -> None:
    schema = pq.ParquetFile(path).schema
    columns = [schema.column(number) for number in range(len(schema))]
    texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    total = 0
    for batch in pq.ParquetFile(path, read_dictionary=texts).iter_batches(BATCH_ROWS):
        total += sum(map(decoded_bytes, batch.columns))
        if total > MOST_DECODED:
            raise too_large(path)


def decoded_bytes(array: Any) -> int:
    """What a column takes in memory once references are replaced by their texts."""
    if pa.types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary)
        return (pc.sum(lengths.take(array.indices)).as_py() or 0) + 4 * len(array)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_map(array.type):
        inside = pa.array(array).flatten() if not pa.types.is_map(array.type) else array.items
        return decoded_bytes(inside) + 8 * len(array)
    if pa.types.is_struct(array.type):
        return sum(map(decoded_bytes, array.flatten()))
    return int(array.nbytes)


def too_large(path: Path | str) -> UserError:
    return UserError(f"decodes to more than {MOST_DECODED >> 30} GB", path)


def csv_rows(path: Path | str, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """The rows of a CSV file with a header, a text for each of its columns, or a UserError."""
    lines = csv_cells(path, delimiter)
    header = next(lines, [])
    for cells in lines:
        yield dict(zip(header, chain(cells, repeat(""))))  # noqa: B905  (as long as the header)


def csv_cells(path: Path | str, delimiter: str = ",") -> Iterator[list[str]]:
    """The lines of a CSV file as they are, the header first, blank ones left out; a UserError where it is none."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    try:
        yield from filter(None, reader)
    except csv.Error as error:
        raise UserError(f"not CSV: {error} (after line {reader.line_num})", path) from None
