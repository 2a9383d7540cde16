"""`deepscaler trace --verify`: a folder of results against its record, its settings, its samples and itself."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from deepscaler import dag, settings
from deepscaler.errors import DeepscalerError, JobError
from deepscaler.files import sha256
from deepscaler.hub import first_line
from deepscaler.reporting.claims.results import Results
from deepscaler.reporting.provenance.lineage import CRATE, Lineage, Source
from deepscaler.reporting.provenance.verification.files import Files
from deepscaler.reporting.provenance.verification.numbers import Numbers, values_differ
from deepscaler.reporting.provenance.verification.samples import Regrading, Sampled
from deepscaler.settings.yaml_files import read_yaml
from deepscaler.text import printable

SHOWN = 20
"""Differences of one kind that are printed."""
NOT_PROVED = """\
Not proved, for whoever hands over these files could make all of them anew, the record too, which nobody has signed:
who ran this and when; that the completions came from these weights, and their token counts; that the weights came from
this training, and the metrics; that the benchmarks hold the published problems. Doing all of it again in a new
work folder would show it (this one gives back what it keeps). For the rest compare the record's digest with one that
its authors gave you: sha256 {digest}"""


@dataclass(frozen=True)
class Cell:
    """A row and a column of table.csv."""

    system: str
    column: str


def verify(
    results: Results, cell: Cell | None, walked: list[Source], lineage: Lineage, share: float, threads: int
) -> None:
    """Do again all that led from the samples to the numbers, and print what differs.

    Raises:
        JobError: something does; each is named.
    """
    regrading = Regrading(share, threads, random.SystemRandom().randrange(1 << 32))
    found = list(differences(results, cell, walked, lineage, regrading))
    for line in found:
        print(printable(f"DIFFERS  {line}"))
    if found:
        raise JobError(f"{len(found)} things differ, first: {found[0]}", results.folder)
    print(f"Verified: every file is as recorded; {what_was_done(cell, regrading)}")
    print(NOT_PROVED.format(digest=sha256(results.folder / CRATE)))


def what_was_done(cell: Cell | None, regrading: Regrading) -> str:
    part = (
        "all their completions"
        if regrading.graded == regrading.of
        else f"{regrading.graded:,} of {regrading.of:,} completions, drawn with the seed {regrading.seed},"
    )
    numbers = "the cell, its error and its scores" if cell else "scores, tables, training steps and claims"
    prompts = f" The prompts of {', '.join(regrading.without_tokenizer)} were not made again: no tokenizer."
    return (
        f"{numbers} follow from the grades, and the grades from {part} graded again; "
        f"samples have the seeds and settings of the scale." + (prompts if regrading.without_tokenizer else "")
    )


def differences(
    results: Results, cell: Cell | None, walked: list[Source], lineage: Lineage, regrading: Regrading
) -> Iterator[str]:
    """What differs, from files to claims; of each kind no more than can be read."""
    scale, files, numbers = results.scale, Files(), Numbers(results)
    systems = [cell.system] if cell else dag.evaluated(scale)
    yield from some(settings_differ(results))
    yield from some(files.against_record(walked, lineage))
    yield from some(files.against_manifests(scale, systems))
    for system, suite in [(cell.system, "table")] if cell else dag.scored(scale):
        yield from some(Sampled(scale, system, suite).verify(regrading))
    yield from some(numbers.cell_differs(cell.system, cell.column) if cell else numbers.differences())


def some(lines: Iterator[str]) -> Iterator[str]:
    """The first lines, and how many more there are; an error on the way is a line, too."""
    try:
        yield from islice(lines, SHOWN)
        if more := sum(1 for _ in lines):
            yield f"… and {more} more of this kind"
    except DeepscalerError as error:
        yield str(error)
    except Exception as error:  # a table of the right columns, or a file of valid JSON, may hold anything
        yield f"malformed, so that the rest of its kind was not compared: {type(error).__name__}: {first_line(error)}"


def settings_differ(results: Results) -> Iterator[str]:
    """Whether the results were made under the settings of this checkout."""
    path = results.folder / "settings.yaml"
    if not path.is_file():
        yield "settings.yaml: is gone"
        return
    said, resolved = read_yaml(path), dag.resolved(results.scale)
    if (found := said.get("digest")) != (ours := settings.settings_digest(resolved)):
        yield f"settings.yaml: made under the settings {found}, those of this checkout are {ours}"
        return
    expected = {"settings": resolved, "seed": settings.load_scale(results.scale).seed}
    stored, fresh = (
        json.loads(json.dumps(values, default=str)) for values in ({k: said.get(k) for k in expected}, expected)
    )
    yield from values_differ("settings.yaml", stored, fresh, "this checkout has")
