"""`deepscaler reverify`: an archive held against itself, by making again what it holds from what lies deeper in it.

    grade    samples → grades → scores → tables; metrics → steps; all → claims    seconds
    sample   weights → samples, and then as above                                 minutes in miniature
    train    the whole workflow                                                   mini itself

Whatever is made again must have the digest that the archive names for it. What differs is named, first what comes
first in the workflow, since the rest may follow from it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from deepscaler import dag, settings
from deepscaler.errors import JobError, UserError, refuse_unknown
from deepscaler.reporting.archive import soundness
from deepscaler.reporting.archive.again import Again
from deepscaler.reporting.archive.archive import OF_THEIR_RUN, files_of
from deepscaler.reporting.archive.jobs import run_workflow
from deepscaler.reporting.archive.judgement import Depth, judged, said
from deepscaler.reporting.archive.opening import Archive, altered, open_archive
from deepscaler.reporting.archive.samples import draw_again
from deepscaler.reporting.provenance.verification.verify import some
from deepscaler.text import printable

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
