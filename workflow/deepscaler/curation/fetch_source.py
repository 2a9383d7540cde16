"""A source as a table of problems: fetched by pin, or made for the miniature; every row is kept, also a broken one."""

import hashlib
import json
import math
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from deepscaler import hub, records, settings
from deepscaler.curation.markup import engine_markup
from deepscaler.curation.rows import Row, read_rows
from deepscaler.errors import UserError, refuse_unknown
from deepscaler.files import remove, sha256
from deepscaler.folders import listed
from deepscaler.miniature.sources import write_source
from deepscaler.settings.curation import Source
from deepscaler.text import printable

SHOWN = 20
"""Defects that are printed, one line each."""
DEFECT = "defect"
"""The key of a row's metadata under which its defect stands; `extract_answers` removes what has one."""


def fetch_source(*, source: str, output: Path) -> None:
    """Write the source's rows to `output`, in their order."""
    known = settings.sources()
    if source not in known:
        raise refuse_unknown("source", source, list(known), "config/sources.yaml")
    entry = known[source]
    output.parent.mkdir(parents=True, exist_ok=True)
    aside = output.with_name(f".{source}.repository")  # what a cut connection leaves there is used again
    snapshot = bring(source, entry, aside)
    rows = list(read_rows([aside / name for name in in_order(entry, snapshot.digests)]))
    remove(aside)
    ours = [row for row in rows if row.defect or belongs(row.values, entry)]
    problems = as_problems(source, entry, ours)
    defects = Counter(json.loads(problem["metadata"]).get(DEFECT) for problem in problems)
    table_metadata = {
        "source": source,
        "repository": entry.repository or "",
        "revision": snapshot.revision or "",
        "verified": snapshot.verified,
        "files": json.dumps(snapshot.digests),
        "rows_in_repository": str(len(rows)),
    }
    records.write(output, problems, records.PROBLEM, table_metadata)
    print(f"{source}: {len(problems)} rows ({snapshot.verified} verified), {len(rows) - len(ours)} of other sources")
    defects.pop(None, None)
    for defect, count in list(defects.items())[:SHOWN]:
        print(printable(f"{source}: {count} × {defect}"))
    if len(defects) > SHOWN:
        print(f"{source}: {len(defects) - SHOWN} more kinds; all of them are in removed.parquet, by row")


def bring(source: str, entry: Source, into: Path) -> hub.Snapshot:
    """The source's repository in a folder: fetched and verified, or written by the miniature."""
    if entry.made:
        remove(into)
        write_source(source, into, entry.made)
        return hub.Snapshot(f"seed {entry.made.seed}", {name: sha256(into / name) for name in listed(into)}, "none")
    return hub.fetch(pin_of(entry), into, settings.site().hub)


def pin_of(entry: Source) -> hub.Pin:
    assert entry.repository is not None  # settings.Source: a source that is fetched has one
    return hub.Pin("github" if entry.kind == "github" else "dataset", entry.repository, entry.revision, entry.files)


def in_order(entry: Source, found: dict[str, str]) -> list[str]:
    """The source's data files, in the order in which the settings name them."""
    names = [name for pattern in entry.files for name in sorted(found) if fnmatch(name, pattern)]
    return list(dict.fromkeys(names))


def belongs(values: dict[str, Any], entry: Source) -> bool:
    """Whether a row is this source's: a repository may hold several."""
    if any(values.get(column) not in wanted for column, wanted in entry.only.items()):
        return False
    return all(within(values.get(column), limits) for column, limits in entry.between.items())


def within(value: Any, limits: tuple[int, int]) -> bool:
    try:
        return limits[0] <= int(value) <= limits[1]
    except (TypeError, ValueError, OverflowError):
        return False


def as_problems(source: str, entry: Source, rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as records of PROBLEM, broken ones with their defect; ids are those of the text, numbered if repeated."""
    check_columns(source, entry, rows)
    seen: Counter[str] = Counter()
    problems = []
    for row in rows:
        problem = as_problem(source, entry, row)
        digest = hashlib.sha256((problem["problem"] or problem["metadata"]).encode()).hexdigest()[:16]
        seen[digest] += 1
        suffix = f"-{seen[digest]}" if seen[digest] > 1 else ""
        problems.append(known_wrong(entry, {**problem, "id": f"{source}/{digest}{suffix}"}))
    return problems


def known_wrong(entry: Source, problem: dict[str, Any]) -> dict[str, Any]:
    """The row, with its defect where the settings know it for wrong."""
    known = entry.wrong.get(problem["id"].partition("/")[2])
    metadata = json.loads(problem["metadata"])
    if known is None or DEFECT in metadata:
        return problem
    return {**problem, "metadata": json.dumps({DEFECT: f"known to be wrong: {known}"} | metadata, ensure_ascii=True)}


def check_columns(source: str, entry: Source, rows: list[Row]) -> None:
    """A column that no row has is a wrong setting, not a defect of the rows."""
    found = {column for row in rows if not row.defect for column in row.values}
    if not found:
        raise UserError(f"{source} has no readable rows", entry.repository, "see `files`, `only` and `between`")
    for column in filter(None, (entry.fields.problem, entry.fields.solution, entry.fields.answer)):
        if column not in found:
            hint = f"columns: {', '.join(sorted(found))}; see `fields` of {source} in config/sources.yaml"
            raise UserError(f"no column {column!r}", entry.repository or source, hint)


def as_problem(source: str, entry: Source, row: Row) -> dict[str, Any]:
    fields = entry.fields
    ours = {fields.problem, fields.solution, fields.answer}
    defects = [row.defect] if row.defect else []
    values: dict[str, str | None] = {}
    for ours_name, column in (("problem", fields.problem), ("solution", fields.solution), ("answer", fields.answer)):
        try:
            values[ours_name] = as_text(row.values.get(column), numbers=ours_name == "answer") if column else None
        except ValueError as error:
            values[ours_name] = None
            defects.append(f"{ours_name} {error}")
    if not values["problem"] and not defects:
        defects.append("problem is empty" if fields.problem in row.values else "problem is missing")
    if markup := engine_markup(values["problem"] or ""):
        defects.append(f"problem holds {markup}, which engines take for markup")
    metadata: dict[str, Any] = {DEFECT: "; ".join(defects)} if defects else {}
    metadata |= {key: value for key, value in row.values.items() if key not in ours or defects}
    return {
        "source": source,
        "problem": values["problem"],
        "solution": values["solution"],
        "answer": None,
        "answer_raw": values["answer"],
        "answer_origin": None,
        "metadata": json.dumps(metadata, ensure_ascii=True, default=str),
    }


def as_text(value: Any, numbers: bool = False) -> str | None:
    """A cell as text: None where it is empty. A ValueError says in what way it is no text (nor a number)."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float if numbers else str):
        raise ValueError(f"is a {type(value).__name__}, not text")
    text = f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("has characters that are no Unicode text") from None
    return text.strip() or None
