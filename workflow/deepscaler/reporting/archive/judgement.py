"""What of an archive came out otherwise when it was made again, and whether another machine explains that."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from deepscaler import dag
from deepscaler.reporting import check, kept_run
from deepscaler.reporting.archive import soundness
from deepscaler.reporting.archive.archive import OF_THEIR_RUN
from deepscaler.reporting.archive.comparison import Difference, difference
from deepscaler.reporting.archive.opening import Archive
from deepscaler.reporting.claims.errors import combined_error
from deepscaler.reporting.claims.results import Results
from deepscaler.reporting.provenance.verification.verify import some
from deepscaler.text import printable
from deepscaler.versions import SAMPLING, TRAINING, processor, versions

Depth = Literal["grade", "sample", "train"]
ORDER = (
    *("benchmarks", "data", "models", "prompts", "checkpoints", "samples", "grades"),
    *("training.csv", "scores", "table.csv"),
)
"""Folders of {work}/{scale} and results as the workflow makes them; then the others, the claims last."""
NOTEBOOK = ".ipynb"
"""Such a file names the Python that executed it, and an archive has its digest alone."""


def judged(kept: Archive, made: dict[str, Path], depth: Depth) -> list[str]:
    """What differs though it should not. All that differs is printed, with the reason why it may."""
    found = named_otherwise(kept, made) if depth == "train" else []
    known = [name for name in sorted(made, key=place_in_workflow) if name in kept.manifest.files]
    differing = [one for name in known if (one := difference(kept, name, made[name]))]
    print(f"Equal to the byte: {len(known) - len(differing)} of {len(known)} files that were made again", flush=True)
    reason = why_bytes_differ(kept)
    excused = [one for one in differing if reason and may_differ(kept, one, depth)]
    said("DIFFERS", (line for one in differing if one not in excused for line in one.lines or [str(one)]))
    found += [str(one) for one in differing if one not in excused]
    if reason and differing:
        print(printable(reason))
        said("OTHER", (str(one) for one in excused))
    if any(one.lines for one in excused):
        print("So averages are held to each other, by their standard errors")
        found += said("DIFFERS", some(averages_differ(kept, made, depth)))
    return found


def named_otherwise(kept: Archive, made: dict[str, Path]) -> list[str]:
    """Files that only the archive has, or only the run."""
    theirs = {name for name in kept.manifest.files if name not in (soundness.SETTINGS, kept_run.NAME, *OF_THEIR_RUN)}
    gone = [f"{name}: the run did not make it" for name in sorted(theirs - made.keys())]
    return said(
        "DIFFERS", [*gone, *(f"{name}: archive.json does not name it" for name in sorted(made.keys() - theirs))]
    )


def place_in_workflow(name: str) -> tuple[int, str]:
    """What comes first in the workflow comes first here, since the rest may follow from it."""
    kind = name.split("/")[2] if name.startswith("work/") else name.split("/")[0]
    return (ORDER.index(kind) if kind in ORDER else len(ORDER) + (kind == "claims.csv")), name


def why_bytes_differ(kept: Archive) -> str | None:
    """Why honest bytes may differ here from the archive's: class of processor or versions; None where they may not."""
    theirs = soundness.record(kept)
    ours = {**theirs, "processor": processor(), "versions": versions()}
    return check.reason_to_differ(ours, theirs) if ours != theirs else None


def may_differ(kept: Archive, one: Difference, depth: Depth) -> bool:
    """Whether another machine explains a difference: of bytes any, of values what other engines or kernels compute."""
    if not one.lines or one.name.endswith(NOTEBOOK):
        return True
    theirs = soundness.record(kept)
    same = theirs.get("processor") == processor() and engines(theirs) == engines({"versions": versions()})
    if same or depth == "grade":
        return False
    drawn = one.name.split("/")[2:3] in (["samples"], ["grades"]) or not one.name.startswith("work/")
    return depth == "train" or (drawn and one.name != "training.csv")


def engines(record: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Of recorded versions those that decide a sample or a step; neither Python's nor this package's does."""
    said = record.get("versions")
    deciding = {*SAMPLING, *TRAINING} - {"python", "deepscaler"}
    found = said if isinstance(said, dict) else {}
    return tuple(sorted((name, str(value)) for name, value in found.items() if name in deciding))


def averages_differ(kept: Archive, made: dict[str, Path], depth: Depth) -> Iterator[str]:
    """What differs by more than sampling may, and where weights were trained again training."""
    fresh, theirs = Results(kept.scale, made["table.csv"].parent), Results(kept.scale, kept.folder)
    if depth == "train":
        yield from check.counts_differ(fresh, theirs)
        yield from check.cells_differ(fresh, theirs)
    else:
        yield from sampled_otherwise(fresh, theirs)


def sampled_otherwise(fresh: Results, theirs: Results) -> Iterator[str]:
    """Averages of the same weights on the same problems, which differ by the error within problems alone."""
    for system, suite in dag.scored(fresh.scale):
        pair = [(results.scores(system, suite) or {}).get("average", {}) for results in (fresh, theirs)]
        values = [average.get("pass_at_1") for average in pair]
        error = combined_error(*(average.get("standard_error_within") for average in pair))
        name = f"scores/{system}-{suite}.json: average"
        if error is None or None in values:
            yield f"{name}: no standard error to compare by"
        elif abs(values[0] - values[1]) > (allowed := check.SAMPLING_ERRORS * error):
            yield f"{name}: {values[1]:.1f}, sampled again {values[0]:.1f} ± {allowed:.1f}"


def said(word: str, lines: Iterable[str]) -> list[str]:
    """Print lines; what others wrote reaches no terminal as it is."""
    shown = list(lines)
    for line in shown:
        print(printable(f"{word}  {line}"), flush=True)
    return shown
