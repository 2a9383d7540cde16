"""`deepscaler compare`: where two runs of a scale part first, in the order in which one thing follows from another.

settings → versions → training data → base → prompts of a segment → its rollouts, token by token → its steps → its
weights → samples, token by token → grades → tables. What comes later differs because of it, and is only counted.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from deepscaler import foreign, records
from deepscaler.errors import UserError
from deepscaler.files import read_json, read_text, sha256
from deepscaler.records import Checkpoint, ModelManifest
from deepscaler.reporting.equality import WITHOUT_SECONDS, digest
from deepscaler.settings.base import validate
from deepscaler.settings.yaml_files import read_yaml
from deepscaler.text import printable
from deepscaler.training.run import kept_rollouts
from deepscaler.training.run.checkpoint import MANIFEST

NEIGHBOURS = 4
"""Tokens shown before and after the first one that differs."""
OF_THE_MACHINE = ("versions.", "commit", "processor")
"""How the keys of settings.yaml start that say what ran, and on what."""


@dataclass(frozen=True)
class Run:
    """The folders of one run of a scale: of a checkout, or of an archive."""

    results: Path
    work: Path

    @classmethod
    def of(cls, folder: Path, scale: str, work_root: str) -> "Run":
        """Raises UserError where there is no run of the scale."""
        places = [(folder / "results" / scale, folder / work_root / scale), (folder, folder / "work" / scale)]
        for results, work in places:
            if (results / "settings.yaml").is_file():
                return cls(results, work)
        raise UserError(f"no run of scale {scale!r}: neither results/{scale}/settings.yaml nor an archive's", folder)


Finding = tuple[str, str]
"""What differs, and how."""


def compare(first: Run, second: Run) -> Iterator[str]:
    """Lines for people: the first difference with its surroundings, then what else is not the same."""
    for name, look in STAGES:
        found = list(look(first, second))
        if found:
            what, how = found[0]
            yield printable(f"PART  {name}: {what}")
            yield from (f"      {line}" for line in how.splitlines())
            if len(found) > 1:
                yield f"      and {len(found) - 1} more of its kind"
            break
    else:
        yield "EQUAL settings, versions, data, prompts, rollouts, weights, samples, grades and tables"
        return
    later = [
        n for n, look in STAGES[[n for n, _ in STAGES].index(name) + 1 :] if any(True for _ in look(first, second))
    ]
    yield f"      later: {', '.join(later) + ' differ' if later else 'nothing else differs'}"


def settings(first: Run, second: Run) -> Iterator[Finding]:
    ours, theirs = (flat(read_yaml(run.results / "settings.yaml")) for run in (first, second))
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        if ours.get(key) != theirs.get(key) and key != "digest" and not key.startswith(OF_THE_MACHINE):
            yield key, sides(ours.get(key), theirs.get(key))


def versions(first: Run, second: Run) -> Iterator[Finding]:
    ours, theirs = (flat(read_yaml(run.results / "settings.yaml")) for run in (first, second))
    for key in [key for key in {**ours, **theirs} if key.startswith(OF_THE_MACHINE)]:
        if ours.get(key) != theirs.get(key):
            yield key, sides(ours.get(key), theirs.get(key))


def flat(values: Any, above: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys."""
    if not isinstance(values, dict):
        return {above: values}
    return {
        key: value
        for name, inner in values.items()
        for key, value in flat(inner, f"{above}.{name}" if above else str(name)).items()
    }


def data(first: Run, second: Run) -> Iterator[Finding]:
    name = "data/train/train.parquet"
    for row, (ours, theirs) in enumerate(pairs_of_rows(first.work / name, second.work / name, records.PROBLEM)):
        if ours != theirs:
            yield f"row {row} of the training set", sides(ours and ours["id"], theirs and theirs["id"])


def base(first: Run, second: Run) -> Iterator[Finding]:
    yield from weights(first, second, "models/*/model.json")


def prompts(first: Run, second: Run) -> Iterator[Finding]:
    for name in both(first, second, "prompts/*.jsonl"):
        lines = (read_text(run.work / name).splitlines() for run in (first, second))
        for number, (ours, theirs) in enumerate(zip_longest(*lines), start=1):
            if ours != theirs:
                yield f"{name}, line {number}", sides(ours, theirs)
                break


def rollouts(first: Run, second: Run) -> Iterator[Finding]:
    """Of each segment, in the order of training steps."""
    found = both(first, second, "checkpoints/*/rollouts/*.parquet")
    for name in sorted(found, key=lambda name: (total_step(first, name), name)):
        if sha256(first.work / name) == sha256(second.work / name):
            continue
        rows = (kept_rollouts.read(run.work / name) for run in (first, second))
        for ours, theirs in zip_longest(*rows):
            if ours != theirs:
                yield row_of_rollouts(name, ours, theirs)
                break


def row_of_rollouts(name: str, ours: dict[str, Any] | None, theirs: dict[str, Any] | None) -> Finding:
    segment, step = Path(name).parts[1], int(Path(name).stem.removeprefix("step-"))
    shown = ours or theirs or {}
    what = f"segment {segment}, step {step}, prompt {shown['prompt']}, sample {shown['sample']}"
    if not ours or not theirs:
        return what, "only one run has it"
    for column in ours:
        if ours[column] != theirs[column]:
            if column == "tokens":
                place, how = first_token(ours[column], theirs[column])
                return f"{what}: {place}", how
            return f"{what}: {column}", sides(ours[column], theirs[column])
    return what, "unequal in no column"


def first_token(ours: list[int], theirs: list[int]) -> Finding:
    """The first of two answers' tokens that differs, beside its neighbours."""
    place = next(n for n, (a, b) in enumerate(zip_longest(ours, theirs)) if a != b)
    windows = [
        " ".join(f"[{t}]" if n == place else str(t) for n, t in enumerate(tokens) if abs(n - place) <= NEIGHBOURS)
        + ("" if place < len(tokens) else " [end]")
        for tokens in (ours, theirs)
    ]
    return f"token {place}", sides(*windows)


def steps(first: Run, second: Run) -> Iterator[Finding]:
    tables = [first.results / WITHOUT_SECONDS, second.results / WITHOUT_SECONDS]
    if not all(path.is_file() for path in tables) or digest(tables[0]) == digest(tables[1]):
        return
    for ours, theirs in zip_longest(*(rows_of(path) for path in tables)):
        for column in ours or theirs or {}:
            values = [(row or {}).get(column) for row in (ours, theirs)]
            if values[0] != values[1] and not column.startswith(("time", "seconds")):
                yield f"training.csv, step {(ours or theirs or {}).get('total_step', '?')}, {column}", sides(*values)
                break


def checkpoints(first: Run, second: Run) -> Iterator[Finding]:
    yield from weights(first, second, "checkpoints/*/checkpoint.json")


def weights(first: Run, second: Run, pattern: str) -> Iterator[Finding]:
    """Files of manifests, in the order of training."""
    for name in sorted(both(first, second, pattern), key=lambda name: (total_step(first, name), name)):
        ours, theirs = (files_of(run.work / name) for run in (first, second))
        for file in sorted({*ours, *theirs}):
            if ours.get(file) != theirs.get(file):
                yield f"{Path(name).parent}/{file}", sides(ours.get(file), theirs.get(file))


def samples(first: Run, second: Run) -> Iterator[Finding]:
    for name in both(first, second, "samples/*/*.parquet"):
        for ours, theirs in pairs_of_rows(first.work / name, second.work / name, records.COMPLETION):
            if ours != theirs:
                row = ours or theirs or {}
                yield f"{name}, {row['problem_id']}, sample {row['sample']}", answers(ours, theirs)
                break


def answers(ours: dict[str, Any] | None, theirs: dict[str, Any] | None) -> str:
    """Two completions, from a little before the character in which they part."""
    if not ours or not theirs:
        return "only one run has it"
    texts = [row["response"] or "" for row in (ours, theirs)]
    if texts[0] == texts[1]:
        column = next(column for column in ours if ours[column] != theirs[column])
        return f"{column}: {sides(ours[column], theirs[column])}"
    place = next(n for n, (a, b) in enumerate(zip_longest(*texts)) if a != b)
    start = max(0, place - 30)
    return f"character {place}\n" + sides(*(text[start : place + 30] for text in texts))


def grades(first: Run, second: Run) -> Iterator[Finding]:
    for name in both(first, second, "grades/*/*.parquet"):
        for ours, theirs in pairs_of_rows(first.work / name, second.work / name, records.GRADE):
            if ours != theirs:
                row = ours or theirs or {}
                column = next((c for c in row if (ours or {}).get(c) != (theirs or {}).get(c)), "row")
                yield (
                    f"{name}, {row['problem_id']}, sample {row['sample']}, {column}",
                    sides((ours or {}).get(column), (theirs or {}).get(column)),
                )
                break


def tables(first: Run, second: Run) -> Iterator[Finding]:
    for name in ("table.csv", "tokens.csv", "comparisons.csv", "agreement.csv"):
        paths = [run.results / name for run in (first, second)]
        if not all(path.is_file() for path in paths):
            continue
        for number, (ours, theirs) in enumerate(zip_longest(*(rows_of(path) for path in paths)), start=1):
            for column in ours or theirs or {}:
                values = [(row or {}).get(column) for row in (ours, theirs)]
                if values[0] != values[1]:
                    yield f"{name}, row {number}, {column}", sides(*values)


STAGES: list[tuple[str, Callable[[Run, Run], Iterator[Finding]]]] = [
    ("settings", settings),
    ("versions", versions),
    ("training data", data),
    ("base", base),
    ("prompts", prompts),
    ("rollouts", rollouts),
    ("steps", steps),
    ("weights", checkpoints),
    ("samples", samples),
    ("grades", grades),
    ("tables", tables),
]


def both(first: Run, second: Run, pattern: str) -> list[str]:
    """Names of files that both runs have: an archive leaves some out."""
    names = [{path.relative_to(run.work).as_posix() for path in run.work.glob(pattern)} for run in (first, second)]
    return sorted(names[0] & names[1])


def total_step(run: Run, name: str) -> int:
    """Where in training a file of a checkpoint's folder belongs; 0 for one of a base model."""
    parts = Path(name).parts
    manifest = run.work / parts[0] / parts[1] / MANIFEST
    return validate(Checkpoint, read_json(manifest), manifest).total_step if manifest.is_file() else 0


def files_of(manifest: Path) -> dict[str, str]:
    """File → SHA-256, of a checkpoint or a model."""
    content = read_json(manifest)
    if manifest.name == MANIFEST:
        return validate(Checkpoint, content, manifest).files
    return validate(ModelManifest, content, manifest).files


def pairs_of_rows(first: Path, second: Path, schema: Any) -> Iterator[tuple[Any, Any]]:
    if first.is_file() and second.is_file() and sha256(first) != sha256(second):
        yield from zip_longest(*(records.read(path, schema).to_pylist() for path in (first, second)))


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(foreign.csv_rows(path))


def sides(ours: Any, theirs: Any) -> str:
    """Both values, a line each, as JSON where they are no text."""
    lines = [
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        for value in (ours, theirs)
    ]
    return f"first:  {printable(lines[0])}\nsecond: {printable(lines[1])}"
