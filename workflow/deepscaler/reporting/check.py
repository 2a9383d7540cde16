"""A fresh run compared with the reference run, results/reference/{scale}: `make check`.

First the bytes: on one class of processor all must be equal. On another, kernels round differently, the first sample
that falls the other way leads training elsewhere, and numbers are compared, within bounds. What is exact on every
machine must be equal in any case: which systems, benchmarks, steps and problems there are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepscaler import dag, settings
from deepscaler.errors import JobError, UserError
from deepscaler.reporting import equality
from deepscaler.reporting.claims.claim_values import declared_results
from deepscaler.reporting.claims.errors import combined_error
from deepscaler.reporting.claims.results import Results, Row, number
from deepscaler.settings.yaml_files import read_yaml
from deepscaler.text import printable

TRAINING_POINTS = 20.0
"""Percentage points by which an average after training may differ, on another class of processor: docs/ARTIFACT.md."""
SAMPLING_ERRORS = 4.0
"""Standard errors, of problems and samples, by which any model may differ."""


def check(*, scale: str, folder: Path, reference: Path) -> None:
    """Print what differs beyond the tolerances, and which files are equal to the byte.

    Raises:
        JobError: something does.
    """
    if not (reference / "table.csv").is_file():
        raise UserError("there is no run to compare with", reference)
    if not (folder / "table.csv").is_file():
        raise UserError("there are no results to check", folder, f"make them with: make {scale}")
    fresh, kept = Results(scale, folder), Results(scale, reference)
    found = [*settings_differ(fresh, kept), *incomplete(fresh), *counts_differ(fresh, kept), *cells_differ(fresh, kept),
             *claims_fail(fresh, kept)]  # fmt: skip
    for line in [*byte_equality(fresh, kept), *outside_in_both(fresh, kept)]:
        print(printable(line))
    for line in found:
        print(printable(f"DIFFERS  {line}"))
    if found:
        raise JobError(f"{len(found)} things differ from the reference, first: {found[0]}", folder)
    print(f"{folder} agrees with {reference}: files, steps, problems, cells of the table, claims")


def settings_differ(fresh: Results, kept: Results) -> Iterator[str]:
    """Other settings give other results: reported first, because that explains the other differences."""
    ours, theirs = record_of(fresh), record_of(kept)
    if ours and theirs and ours["digest"] != theirs["digest"]:
        yield f"settings.yaml: settings {ours['digest']}, reference {theirs['digest']}"


def incomplete(fresh: Results) -> Iterator[str]:
    for path in declared_results(fresh):
        if not path.is_file():
            yield f"{path.relative_to(fresh.folder)}: is missing"


def counts_differ(fresh: Results, kept: Results) -> Iterator[str]:
    """Rows that every run has: steps of training, and the counts of curation."""
    if (made := len(fresh.training)) != (expected := len(kept.training)):
        yield f"training.csv: {made} steps, reference {expected}"
    if fresh.curation != kept.curation:
        pairs = zip(fresh.curation, kept.curation, strict=False)
        rows = [(ours, theirs) for ours, theirs in pairs if ours != theirs]
        yield f"curation.csv: {rows[0][0]}, reference {rows[0][1]}" if rows else "curation.csv: other rows"


def cells_differ(fresh: Results, kept: Results) -> Iterator[str]:
    """Averages of the table: a trained system may differ by training and sampling, another by sampling only.

    Training differs where the processor's class or a package does; otherwise it is equal to the byte.
    """
    records = record_of(fresh), record_of(kept)
    retrained = any(records[0].get(what) != records[1].get(what) for what in ("processor", "versions"))
    for system in dag.evaluated(fresh.scale):
        ours, theirs = fresh.cell(system, "average"), kept.cell(system, "average")
        if ours is None or theirs is None:
            yield f"table.csv: no average of {system}"
            continue
        error = combined_error(ours.standard_error, theirs.standard_error)
        if error is None:
            yield f"table.csv: the average of {system} has no standard error to compare by"
            continue
        allowed = SAMPLING_ERRORS * error
        if retrained and dag.checkpoint_of(fresh.scale, system):
            allowed += TRAINING_POINTS
        if abs(ours.value - theirs.value) > allowed:
            title = settings.systems()[system].title
            yield f"table.csv: {title}, average {ours.value:.1f}, reference {theirs.value:.1f} ± {allowed:.1f}"


def claims_fail(fresh: Results, kept: Results) -> Iterator[str]:
    """Claims that the reference meets and this run does not."""
    where = fresh.folder / "claims.csv"
    for row in outside(fresh):
        if row["id"] not in {other["id"] for other in outside(kept)}:
            measured = number(row, "measured", where)
            yield f"claims.csv: {row['id']}: expected {row['expected']} {row['unit']}, measured {measured}"


def outside_in_both(fresh: Results, kept: Results) -> Iterator[str]:
    """Claims that neither run meets: reported, but not as a difference."""
    names = [row["id"] for row in outside(fresh) if row["id"] in {other["id"] for other in outside(kept)}]
    if names:
        yield f"Claims outside in the reference too: {', '.join(names)}"


def outside(results: Results) -> list[Row]:
    """What is outside, but for illustrations, which chance decides."""
    return [row for row in results.claims if row["verdict"] == "outside" and row.get("kind") != "illustrative"]


def byte_equality(fresh: Results, kept: Results) -> Iterator[str]:
    """Which of the files that the reference keeps are equal to the byte, and why others may differ."""
    theirs = equality.digests(kept.folder)
    ours = {name: digest for name, digest in equality.digests(fresh.folder).items() if name in theirs}
    # the first lines of settings.yaml name commit, versions and processor, which are compared below
    other = [name for name in equality.differences(ours, theirs) if name != "settings.yaml"]
    equal = [name for name in ours if name not in other and name != "settings.yaml"]
    yield f"Equal to the byte: {', '.join(equal) or 'nothing'}"
    if other:
        yield f"Not equal, compared by number: {', '.join(other)}"
        yield reason_to_differ(record_of(fresh), record_of(kept))


def reason_to_differ(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Why two runs may differ: code, versions, class of processor; or that nothing of this does."""
    for what in ("digest", "seed", "processor", "versions", "commit"):
        if (here := ours.get(what)) != (there := theirs.get(what)):
            if isinstance(here, dict) and isinstance(there, dict):
                names = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
                here, there = ([f"{name} {side.get(name)}" for name in names] for side in (here, there))
                here, there = ", ".join(here), ", ".join(there)
            return f"They may differ: {WHAT[what]} {here}, reference {there}"
    return "They should not: commit, settings, versions and class of processor are the same"


WHAT = {
    "digest": "settings",
    "seed": "seed",
    "processor": "class of processor",
    "versions": "versions",
    "commit": "commit",
}
"""What may differ between two runs, by its key in settings.yaml: what weighs most first."""


def record_of(results: Results) -> dict[str, Any]:
    path = results.folder / "settings.yaml"
    record = read_yaml(path) if path.is_file() else {}
    return record if isinstance(record, dict) else {}
