"""`deepscaler track`: the files of the site's trackers, brought up to date with what training has recorded."""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from deepscaler import settings
from deepscaler.errors import DeepscalerError, JobError, UserError
from deepscaler.reporting.tracking import tensorboard_file, trackio_database, wandb_file
from deepscaler.reporting.tracking.history import History, history_of
from deepscaler.settings.tracking import Tracker, Tracking
from deepscaler.text import printable
from deepscaler.training.run.writer_lock import only_writer

FOLDER = "tracking"
ENVIRONMENT = ".venv-tracking"


def folder() -> Path:
    """Of all scales' runs, so that a viewer shows them beside each other."""
    return settings.run_root() / settings.site().work / FOLDER


def track(*, scale: str, sync: bool = False) -> Iterator[str]:
    """Write the trackers' files, and with `sync` upload wandb's; a line for each.

    Raises:
        UserError: the scale does not train or has made no step, or no tracker is named.
        JobError: a tracker failed or is not installed; the others are written.
    """
    tracking = named(sync)
    if settings.load_scale(scale).training is None:
        raise UserError(f"scale {scale!r} does not train", f"config/scales/{scale}.yaml")
    lacking = [tracker for tracker in tracking.trackers if find_spec(tracker) is None]
    if lacking:
        go_on_in_own_environment()
    place = folder()
    problems = []
    with only_writer(place / "locks" / scale, work="writing the trackers' files"):
        root = settings.run_root()
        history = history_of(scale, root / settings.site().work / scale, root / "results" / scale, place)
        yield f"run {history.id}: {len(history.points)} steps"
        for tracker in tracking.trackers:
            if tracker in lacking:
                continue
            try:
                for line in written(tracker, history, place / tracker, tracking, sync):
                    yield f"{tracker}: {line}"
            except Exception as error:  # whatever a package raises, the other trackers get their turn
                kind = "" if isinstance(error, DeepscalerError) else f"{type(error).__name__}: "
                problems.append(printable(f"{tracker}: {kind}{error}"))
    if lacking:
        problems.append(f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not installed")
    if problems:
        raise JobError("; ".join(problems), None, "make setup-tracking" if lacking else None)


def named(sync: bool) -> Tracking:
    """The site's trackers, where there are any."""
    tracking = settings.site().tracking
    if tracking is None or not tracking.trackers:
        raise UserError("no tracker is named", "config/site.yaml", "tracking.trackers: [tensorboard, trackio, wandb]")
    if sync and "wandb" not in tracking.trackers:
        raise UserError("--sync is of wandb, which is not among tracking.trackers", "config/site.yaml")
    return tracking


def go_on_in_own_environment() -> None:
    """Go on as the same command in the trackers' environment, where there is one and this is another."""
    other = settings.project_root() / ENVIRONMENT
    program = other / "bin" / "deepscaler"
    if program.exists() and Path(sys.prefix).resolve() != other.resolve():
        os.execv(program, [str(program), *sys.argv[1:]])


def written(tracker: Tracker, history: History, place: Path, tracking: Tracking, sync: bool) -> Iterator[str]:
    """Write one tracker's files; lines that say where they are and what became of the upload."""
    if tracker == "tensorboard":
        yield str(tensorboard_file.write(history, place))
    elif tracker == "trackio":
        yield str(trackio_database.write(history, place, tracking.project))
    else:
        files = wandb_file.write(history, place, tracking)
        yield str(files[-1].parent if files else "nothing yet: it gets the steps of finished segments")
        if sync or tracking.wandb == "online":
            yield wandb_file.sync(files)
