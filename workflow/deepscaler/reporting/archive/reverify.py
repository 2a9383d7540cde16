"""`deepscaler reverify`: an archive held against itself, by making again what it holds from what lies deeper in it.

    grade    samples → grades → scores → tables; metrics → steps; all → claims    seconds
    sample   weights → samples, and then as above                                 minutes in miniature
    train    the whole workflow                                                   mini itself

Whatever is made again must have the digest that the archive names for it. What differs is named, first what comes
first in the workflow, since the rest may follow from it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from deepscaler import dag, settings
from deepscaler.errors import JobError, UserError, refuse_unknown
from deepscaler.reporting import check, kept_run
from deepscaler.reporting.archive import soundness
from deepscaler.reporting.archive.again import Again
from deepscaler.reporting.archive.archive import OF_THEIR_RUN, files_of
from deepscaler.reporting.archive.comparison import Difference, difference
from deepscaler.reporting.archive.jobs import run_workflow
from deepscaler.reporting.archive.opening import Archive, altered, open_archive
from deepscaler.reporting.archive.samples import draw_again
from deepscaler.reporting.claims.errors import combined_error
from deepscaler.reporting.claims.results import Results
from deepscaler.reporting.provenance.verification.verify import some
from deepscaler.text import printable
from deepscaler.versions import SAMPLING, TRAINING, processor, versions

Depth = Literal["grade", "sample", "train"]
ORDER = ("benchmarks", "data", "models", "prompts", "checkpoints", "samples", "grades")
"""Of the folders of {work}/{scale}, in the workflow; results follow."""
NOT_SHOWN: dict[Depth, str] = {
    "grade": "that the samples came from these weights (--depth sample), and the weights from this training (train)",
    "sample": "that the weights came from this training (--depth train)",
    "train": "when and by whom the archive was made",
}
Run = tuple[Path, Path]
"""The folders {results}/{scale} and {work}/{scale} of a run."""


def reverify(
    *, archive: Path, depth: Depth, systems: list[str], run: Run | None, threads: int, largest_gb: float
) -> None:
    """Make again what an archive holds, down to `depth`, and print what differs.

    `systems`: whose samples are drawn again; empty: all. `run`: a run that was made for this, instead of making one.

    Raises:
        JobError: something differs; each thing is named.
    """
    with open_archive(archive, largest_gb) as kept, TemporaryDirectory(prefix="deepscaler-reverify-") as folder:
        check_names(kept.scale, systems)
        commit = str(soundness.record(kept).get("commit"))[:40]
        print(
            printable(f"Archive of scale {kept.scale}, commit {commit}, sha256 of archive.json {kept.digest}"),
            flush=True,
        )
        within = said("DIFFERS", unsound(kept))
        again = Again(kept, Path(folder), threads)
        made = of_run(kept, Path(folder), run) if depth == "train" else remake(again, depth, systems)
        beyond = [*said("DIFFERS", again.failed), *judged(kept, made, depth)]
    if found := [*beyond, *within]:
        other = any(line.startswith(soundness.SETTINGS) for line in within)
        hint = f"these are not the settings that it was made under; check out its commit, {commit}" if other else None
        raise JobError(f"{len(found)} things differ from the archive, first: {found[0]}", archive, hint)
    print(f"Verified: {len(made)} files were made again. Not shown by this: {NOT_SHOWN[depth]}.")


def said(word: str, lines: Iterable[str]) -> list[str]:
    """Print lines; what others wrote reaches no terminal as it is."""
    shown = list(lines)
    for line in shown:
        print(printable(f"{word}  {line}"), flush=True)
    return shown


def check_names(scale: str, systems: list[str]) -> None:
    if scale not in settings.scale_names():
        raise refuse_unknown("scale", scale, settings.scale_names(), "archive.json")
    sampled = [system for system, _ in dag.scored(scale)]
    for system in systems:
        if system not in sampled:
            raise refuse_unknown("system", system, sampled, f"scale {scale}")


def unsound(kept: Archive) -> list[str]:
    """What differs within the archive, before anything is made again."""
    kinds = (altered, soundness.incomplete, soundness.other_settings, soundness.broken_chain)
    return [line for kind in kinds for line in some(kind(kept))]


def remake(again: Again, depth: Depth, systems: list[str]) -> dict[str, Path]:
    """Make again all that lies above the depth; the files by their names in the archive."""
    again.problems()
    again.failed += some(soundness.unasked(again.archive, again.place))
    if depth == "sample":
        for name in draw_again(again, systems or [system for system, _ in dag.scored(again.scale)]):
            print(f"Sampled again: {name}", flush=True)
    again.grades()
    again.tables()
    again.training()
    again.claims()
    names = (name for name in again.archive.manifest.files if name != soundness.SETTINGS)
    return {name: again.fresh(name) for name in names if again.fresh(name).is_file()}


def of_run(kept: Archive, folder: Path, run: Run | None) -> dict[str, Path]:
    """All files of a run of the whole workflow, made here or given, that must be equal."""
    if run is None and settings.load_scale(kept.scale).device != "cpu":
        hint = f"snakemake --profile slurm {kept.scale}, in a new work root; then give its --results and --work"
        raise UserError(f"scale {kept.scale!r} is not trained in passing", None, hint)
    results, work = run or run_workflow(kept.scale, folder)
    if not (results / "table.csv").is_file():
        raise UserError("there is no finished run to compare with", results)
    found = files_of(kept.scale, results, work)
    return {name: path for name, path in found if name not in (soundness.SETTINGS, *OF_THEIR_RUN)}


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
        found += said("DIFFERS", averages_differ(kept, made, depth))
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
    return (ORDER.index(kind) if kind in ORDER else len(ORDER)), name


def why_bytes_differ(kept: Archive) -> str | None:
    """Why honest bytes may differ here from the archive's: class of processor or versions; None where they may not."""
    theirs = soundness.record(kept)
    ours = {**theirs, "processor": processor(), "versions": versions()}
    return check.reason_to_differ(ours, theirs) if ours != theirs else None


def may_differ(kept: Archive, one: Difference, depth: Depth) -> bool:
    """Whether another machine explains a difference: of bytes any, of values what other engines or kernels compute."""
    if not one.lines:
        return True
    said_of_engines = (engines(record) for record in (soundness.record(kept), {"versions": versions()}))
    if depth == "grade" or (len(set(said_of_engines)) == 1 and soundness.record(kept).get("processor") == processor()):
        return False
    drawn = one.name.split("/")[2:3] in (["samples"], ["grades"]) or not one.name.startswith("work/")
    return depth == "train" or (drawn and one.name != "training.csv")


def engines(record: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Of recorded versions those that decide a sample or a step; neither Python's nor this package's does."""
    found = record.get("versions")
    deciding = {*SAMPLING, *TRAINING} - {"python", "deepscaler"}
    return tuple(sorted((name, str(value)) for name, value in (found or {}).items() if name in deciding))


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
