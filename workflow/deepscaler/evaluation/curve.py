"""The curve: Pass@1 of the base and of every checkpoint that is scored, along training. results/{scale}/curve.csv.

A row a checkpoint and benchmark, in order of steps; the base model is step 0, and has no stage and no segment::

    total_step  stage  segment  step  system  benchmark  score  standard_error  standard_error_within  samples

Scores and errors are in percent; the error within is that of sampling alone, by which checkpoints are compared, which
answer the same problems. `measured` gives what there is of it, at any time of a run.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from deepscaler import dag, settings
from deepscaler.evaluation.table_rows import rounded
from deepscaler.files import read_json

SUITE = "curve"
HEADLINE = "aime_2024"
"""The column of the benchmark whose curve is drawn where a scale has no suite `curve`."""


@dataclass(frozen=True)
class CurveScore:
    """Pass@1 of one checkpoint on one benchmark."""

    total_step: int
    """Counted from the base model, over all stages."""
    stage: str
    segment: str
    step: int
    """Within the stage."""
    system: str
    benchmark: str
    score: float
    """Percent."""
    standard_error: float | None
    """Of other problems and other samples, in points; None where it can't be estimated, as the next one."""
    standard_error_within: float | None
    """Of other samples alone."""
    samples: int
    """In all."""


COLUMNS = tuple(field.name for field in fields(CurveScore))


def curve_scores(scale: str, contents: Iterable[dict[str, Any]]) -> list[CurveScore]:
    """What the contents of files of scores say of the curve, in order of steps; of a scale that trains, else nothing.

    Scores that are not of it are passed over.
    """
    places = {(point.system, point.suite): point for point in dag.curve(scale)}
    found: list[CurveScore] = []
    for content in contents if dag.segments(scale) else ():
        if point := places.get((content["system"], content["suite"])):
            found += of_point(scale, point, content)
    return sorted(found, key=lambda one: (one.total_step, one.benchmark))


def of_point(scale: str, point: dag.CurvePoint, content: dict[str, Any]) -> Iterator[CurveScore]:
    identifier = dag.checkpoint_of(scale, point.system)
    piece = dag.segment(scale, identifier) if identifier else None
    for name in benchmarks_of(scale):
        if entry := content["benchmarks"].get(name):
            yield CurveScore(
                total_step=point.total_step,
                stage=piece.stage if piece else "",
                segment=piece.id if piece else "",
                step=piece.last if piece else 0,
                system=point.system,
                benchmark=name,
                score=entry["pass_at_1"],
                standard_error=entry["standard_error"],
                standard_error_within=entry["standard_error_within"],
                samples=entry["total"],
            )


def benchmarks_of(scale: str) -> list[str]:
    """Those of the suite `curve`; of a scale without it, the one in AIME 2024's column of the table."""
    suites = settings.load_scale(scale).evaluation.suites
    return suites.get(SUITE) or [name for name in suites["table"] if settings.benchmarks()[name].column == HEADLINE]


def measured(scale: str, results: Path, work: Path) -> list[CurveScore]:
    """The curve as far as it is scored: `results` is results/{scale}, `work` is {work}/{scale}.

    Scores that are older than their checkpoint are of an earlier try, and are left out. Files may come and go
    meanwhile.
    """
    paths = (current(scale, point, results, work) for point in dag.curve(scale))
    return curve_scores(scale, [read_json(path) for path in paths if path])


def current(scale: str, point: dag.CurvePoint, results: Path, work: Path) -> Path | None:
    """A point's file of scores, where it is there and of the checkpoint that is there."""
    path = results / "scores" / f"{point.system}-{point.suite}.json"
    segment = dag.checkpoint_of(scale, point.system)
    try:
        written = path.stat().st_mtime
        if segment and (work / "checkpoints" / segment / "checkpoint.json").stat().st_mtime > written:
            return None
    except OSError:
        return None
    return path


def curve_csv(scale: str, contents: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of curve.csv: of a scale that trains nothing, none."""
    for one in curve_scores(scale, contents):
        row = asdict(one)
        yield row | {name: rounded(row[name]) for name in ("score", "standard_error", "standard_error_within")}
