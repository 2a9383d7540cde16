"""The funnel: of every source, how many rows came in, left at each step and arrived. It must sum exactly."""

import csv
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from deepscaler import records
from deepscaler.curation.dataset_card import write_card, write_croissant
from deepscaler.errors import JobError
from deepscaler.files import writing
from deepscaler.settings.curation import SelectGradable

STEPS = ("extract_answers", "deduplicate", "decontaminate", "select_gradable")
COLUMNS = ("source", "fetched", *STEPS, "kept")
Row = dict[str, str | int]


def summarise_curation(
    *,
    sources: list[Path],
    removed_parts: list[Path],
    train: Path,
    funnel: Path,
    removed: Path,
    card: Path,
    description: Path,
    found: Path,
    contamination: Path,
    scale: str,
    selection: SelectGradable,
) -> None:
    """Write the funnel (a row a source, and the total), all removed items as one table, and the training
    set's card and description.

    `found`, what `decontaminate` found, is copied to `contamination`, among the results: lost there, it costs a copy.
    """
    fetched = Counter(name for path in sources for name in column(records.read(path, records.PROBLEM), "source"))
    parts = [records.read(path, records.REMOVED) for path in removed_parts]
    gone = pa.concat_tables([part.replace_schema_metadata(None) for part in parts])
    left = Counter(zip(column(gone, "source"), column(gone, "step"), strict=True))
    training_set = records.read(train, records.PROBLEM)
    kept = Counter(column(training_set, "source"))
    rows: list[Row] = []
    for source in fetched:
        gone_at: Row = {step: left[source, step] for step in STEPS}
        rows.append({"source": source, "fetched": fetched[source], **gone_at, "kept": kept[source]})
    rows.append({"source": "total"} | {key: sum(int(row[key]) for row in rows) for key in COLUMNS[1:]})
    for row in rows:
        check(row)
    with writing(removed) as aside:
        pq.write_table(gone, aside, compression="zstd")
    with writing(funnel) as aside, aside.open("w", encoding="utf-8", newline="") as handle:
        table = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    with writing(contamination) as aside:
        shutil.copyfile(found, aside)
    write_card(card, scale, train, selection)
    write_croissant(description, scale, train)
    print(text_table(rows))


def column(table: pa.Table, name: str) -> list[str]:
    return list(table.column(name).to_pylist())


def check(row: Row) -> None:
    """Nothing may be lost or doubled between two steps."""
    counts = {key: int(row[key]) for key in COLUMNS[1:]}
    gone = sum(counts[step] for step in STEPS)
    if counts["fetched"] != gone + counts["kept"]:
        raise JobError(
            f"{row['source']}: {counts['fetched']} rows came in, {gone} left and {counts['kept']} arrived",
            None,
            "a step's output is of another run: delete it and run again",
        )


def text_table(rows: list[Row]) -> str:
    widths = [max(len(name), *(len(str(row[name])) for row in rows)) for name in COLUMNS]
    lines = [COLUMNS, *(tuple(str(row[name]) for name in COLUMNS) for row in rows)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
