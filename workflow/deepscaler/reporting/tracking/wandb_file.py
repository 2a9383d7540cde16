"""wandb's files of a run, as `wandb.init(mode="offline")` leaves them, and their upload by `wandb sync`.

What was uploaded stays, and what is uploaded to the same run later is added to it. So each file holds rows that no
other one has: steps of finished segments, which change no more, and scores, which come when their step is long there.
wandb's own count of rows means nothing then: its charts are over `training/global_step`.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import NamedTuple

from deepscaler.errors import JobError
from deepscaler.files import digest_of, read_json, remove, replace, write_json
from deepscaler.reporting.tracking import names
from deepscaler.reporting.tracking.history import History
from deepscaler.settings.tracking import Tracking
from deepscaler.text import printable

KEPT = ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_CREDENTIALS_FILE", "WANDB_CONFIG_DIR")
"""Variables that say who and where; others would change what a run is called, or what it holds."""
KEYS = "rows.json"
"""Beside wandb's file: the keys of its rows."""
SYNC_SECONDS = 1800
"""After which an upload is given up."""


class Row(NamedTuple):
    """What is logged at one time: a step, or the scores of a checkpoint."""

    key: str
    """Of its content."""
    time: float
    """Seconds since 1970."""
    values: dict[str, float]


def write(history: History, folder: Path, tracking: Tracking) -> list[Path]:
    """All files of the run, {folder}/{project}/offline-run-{time}-{id}/, the oldest first; one more for new rows.

    Where a step that a file holds was trained again to other values, which wandb could not take back, the run begins
    anew, as one more of this run: its id gets a number.
    """
    place = folder / tracking.project
    steps, scores = rows_of(history)
    stands = {row.key for row in (*steps, *scores)}
    for number in count(1):
        run_id = history.id if number == 1 else f"{history.id}-{number}"
        files = sorted(place.glob(f"offline-run-*-{run_id}"))
        kept = [key for path in files for key in read_json(path / KEYS)]
        if all(key in stands or key.startswith(names.SCORE) for key in kept):
            break
    new = [row for row in (*steps, *scores) if row.key not in set(kept)]
    if new:
        files.append(add_file(history, run_id, new, len(kept), place, tracking))
    return files


def rows_of(history: History) -> tuple[list[Row], list[Row]]:
    """The rows of steps that change no more, and those of scores."""
    steps, scores = [], []
    for point in history.settled_points():
        scored = {name: value for name, value in point.values.items() if name.startswith(names.SCORE)}
        logged = {name: value for name, value in point.values.items() if name not in scored}
        # by repr, in which a value that is no number equals itself
        if names.STAGE_STEP in logged:
            steps.append(Row(f"{point.step}:{digest_of(repr(sorted(logged.items())))[:16]}", point.time, logged))
        if scored:
            key = f"{names.SCORE}{point.step}:{digest_of(repr(sorted(scored.items())))[:16]}"
            scores.append(Row(key, point.time, {names.GLOBAL_STEP: point.step, **scored}))
    return steps, scores


def add_file(history: History, run_id: str, rows: list[Row], first: int, place: Path, tracking: Tracking) -> Path:
    """Write rows to a file of their own, whole or not at all; `first` counts the rows in the files before."""
    aside = place / f".{run_id}.part"
    remove(aside)
    aside.mkdir(parents=True)
    only_own_variables()
    import wandb

    run = wandb.init(
        dir=str(aside),
        mode="offline",
        id=run_id,
        name=history.name,
        project=tracking.project,
        entity=tracking.wandb_entity,
        config=history.config,
        settings=wandb.Settings(
            console="off", silent=True, disable_git=True, disable_code=True, save_code=False, x_disable_stats=True,
            x_disable_meta=True, x_disable_machine_info=True, host="",
        ),
    )  # fmt: skip
    run.define_metric("*", step_metric=names.GLOBAL_STEP)
    for number, row in enumerate(rows, first):
        run.log({**row.values, "_timestamp": row.time}, step=number)
    for point in history.settled_points():  # the newest of each metric, not of this file's alone
        run.summary.update(point.values)
    run.finish()
    (made,) = (aside / "wandb").glob("offline-run-*")
    for extra in ("logs", "tmp"):  # of this process: paths and versions of this computer
        remove(made / extra)
    write_json(made / KEYS, [row.key for row in rows])
    target = place / f"offline-run-{datetime.now(UTC).strftime('%Y%m%d_%H%M%S')}-{first:05}-{run_id}"
    replace(made, target)
    remove(aside)
    return target


def only_own_variables() -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_") and name not in KEPT]:
        del os.environ[name]
    os.environ["WANDB_ERROR_REPORTING"] = "false"


def not_uploaded(files: list[Path]) -> list[Path]:
    """Those without the mark that `wandb sync` leaves."""
    return [path for path in files if not list(path.glob("*.wandb.synced"))]


def sync(files: list[Path]) -> str:
    """Upload files that were not, one after the other as they follow each other; the last line that wandb said.

    Raises JobError where that fails.
    """
    only_own_variables()
    last = "everything was uploaded before"
    for place in not_uploaded(files):
        try:
            run = subprocess.run(
                [sys.executable, "-m", "wandb", "sync", str(place)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SYNC_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise JobError(f"wandb sync did not end in {SYNC_SECONDS} s", place, "type it again") from None
        said = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()]
        last = printable(said[-1] if said else "nothing was said")
        if run.returncode != 0 or not_uploaded([place]):  # without a key it says so, and ends well
            hint = "`wandb login`, or set WANDB_API_KEY; then type it again"
            raise JobError(f"wandb sync failed: {last}", place, hint)
    return last
