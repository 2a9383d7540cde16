"""What the trackers are given: one run, its settings, and a point for each step that has something to show."""

import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepscaler import dag, settings
from deepscaler.errors import UserError
from deepscaler.evaluation.curve import current
from deepscaler.files import read_json, read_text
from deepscaler.reporting.compute.outlook import written
from deepscaler.reporting.tracking import names
from deepscaler.training.watch.metrics import POSITION, Row
from deepscaler.training.watch.timeline import newest, timeline
from deepscaler.versions import commit


@dataclass
class Point:
    """What is known of one step, counted from the base model."""

    step: int
    time: float
    """Seconds since 1970."""
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """One run, as far as it is recorded."""

    id: str
    """The same for as long as the work folder and the first segment's recipe are."""
    name: str
    config: dict[str, Any]
    """Settings, seed and commit."""
    points: list[Point]
    """In order of steps, each once."""
    settled: int
    """The last step of the last finished segment: up to it, nothing changes any more."""

    def settled_points(self) -> list[Point]:
        return [point for point in self.points if point.step <= self.settled]


def history_of(scale: str, work: Path, results: Path, folder: Path) -> History:
    """From {work}/{scale}, results/{scale} and the trackers' folder, where the run's identity is kept.

    Raises UserError where there is no step yet.
    """
    rows = timeline(scale, work)
    if not rows:
        raise UserError(f"scale {scale!r} has made no step yet", work)
    digest = recipe_of(scale, work)
    points = {int(row["total_step"]): point_of(row) for row in rows}
    for step, values in scores(scale, work, results).items():
        points.setdefault(step, Point(step, time_of(rows[0]))).values.update(values)
    resolved = dag.resolved(scale)
    config = {
        "scale": scale,
        "seed": settings.load_scale(scale).seed,
        "commit": commit(),
        "settings_digest": settings.settings_digest(resolved),
        "settings": resolved,
    }
    return History(
        id=identity(folder / "runs" / f"{scale}-{digest}", f"{scale.replace('.', '-')}-{digest[:8]}"),
        name=f"{scale}-{digest[:8]}",
        config=config,
        points=[points[step] for step in sorted(points)],
        settled=settled(scale, work),
    )


def point_of(row: Row) -> Point:
    values = {names.GLOBAL_STEP: row["total_step"], names.STAGE_STEP: row["step"]}
    for key, value in row.items():
        if key not in POSITION and isinstance(value, int | float) and not isinstance(value, bool):
            values[names.peer(key)] = value
    return Point(int(row["total_step"]), time_of(row), values)


def time_of(row: Row) -> float:
    """When a step ended, in seconds since 1970; 0 where the row does not say."""
    when = written(row)
    return when.timestamp() if when else 0.0


def recipe_of(scale: str, work: Path) -> str:
    """The digest of the settings that the first segment was trained by: of another recipe, it is another run."""
    first = dag.segments(scale)[0]
    found = newest(work, first)
    if found is not None:
        for name, key in (("run.json", "settings"), ("checkpoint.json", "recipe_digest")):
            if (record := found.with_name(name)).exists():
                return str(read_json(record)[key])
    return dag.training_digest(scale, first.id)


def identity(place: Path, stem: str) -> str:
    """A name that no other run in the world has; made once, by whoever comes first."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        aside = place.with_name(f".{uuid.uuid4().hex}")
        aside.write_text(f"{stem}-{uuid.uuid4().hex[:8]}\n", encoding="utf-8")
        try:
            os.link(aside, place)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            aside.replace(place)
        aside.unlink(missing_ok=True)
    return read_text(place).strip()


def settled(scale: str, work: Path) -> int:
    """The last step of the chain's finished beginning."""
    last = 0
    for segment in dag.segments(scale):
        if not (work / "checkpoints" / segment.id / "checkpoint.json").exists():
            break
        last = segment.total_last
    return last


def scores(scale: str, work: Path, results: Path) -> dict[int, dict[str, float]]:
    """Step → what the curve's scores there say of all their benchmarks, as far as there are any; the base is at 0."""
    found: dict[int, dict[str, float]] = {}
    for point in dag.curve(scale):
        if path := current(scale, point, results, work):
            values = found.setdefault(point.total_step, {names.GLOBAL_STEP: point.total_step})
            for benchmark, entry in read_json(path)["benchmarks"].items():
                values[names.accuracy(benchmark, entry["samples"])] = entry["pass_at_1"] / 100
                if entry["standard_error"] is not None:
                    values[names.accuracy_error(benchmark)] = entry["standard_error"] / 100
    return found
