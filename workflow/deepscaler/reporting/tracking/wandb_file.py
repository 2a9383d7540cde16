"""wandb's file of a run, as `wandb.init(mode="offline")` leaves it, and its upload by `wandb sync`.

It has the steps of finished segments alone: what was uploaded stays, and those steps change no more. It is written
whole, aside, and put in place.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from deepscaler.errors import JobError
from deepscaler.files import digest_of, read_text, remove, replace, write_text
from deepscaler.reporting.tracking import names
from deepscaler.reporting.tracking.history import History
from deepscaler.settings.tracking import Tracking
from deepscaler.text import printable

KEPT = ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_CREDENTIALS_FILE", "WANDB_CONFIG_DIR")
"""Variables that say who and where; others would change what a run is called, or what it holds."""
CONTENT = "content.sha256"
"""Beside wandb's file: the digest of what it holds, since wandb writes equal runs to other bytes."""
SYNC_SECONDS = 1800
"""After which an upload is given up."""


def write(history: History, folder: Path, tracking: Tracking) -> Path | None:
    """Write {folder}/offline-run-{begin}-{id}/; None where no segment is finished yet."""
    points = history.settled_points()
    if not points or history.settled == 0:
        return None
    begin = datetime.fromtimestamp(points[0].time, UTC).strftime("%Y%m%d_%H%M%S")
    place = folder / f"offline-run-{begin}-{history.id}"
    content = digest_of(repr((points, history.config, tracking.project, tracking.wandb_entity)))
    if (place / CONTENT).exists() and read_text(place / CONTENT).strip() == content:
        return place
    aside = folder / f".{history.id}.part"
    remove(aside)
    aside.mkdir(parents=True)
    only_own_variables()
    import wandb

    run = wandb.init(
        dir=str(aside),
        mode="offline",
        id=history.id,
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
    for point in points:
        run.log({**point.values, "_timestamp": point.time}, step=point.step)
    run.finish()
    (made,) = (aside / "wandb").glob("offline-run-*")
    for extra in ("logs", "tmp"):  # of this process: paths and versions of this computer
        remove(made / extra)
    write_text(made / CONTENT, content + "\n")
    replace(made, place)
    remove(aside)
    for other in folder.glob(f"offline-run-*-{history.id}"):
        if other != place:
            remove(other)
    return place


def only_own_variables() -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_") and name not in KEPT]:
        del os.environ[name]
    os.environ["WANDB_ERROR_REPORTING"] = "false"


def mark_of(place: Path, history: History) -> Path:
    """What `wandb sync` leaves once it has uploaded a file; a file that is written anew has none."""
    return place / f"run-{history.id}.wandb.synced"


def sync(place: Path, history: History, tracking: Tracking) -> str:
    """Upload it, to the same run each time; the last line that wandb said. JobError where it fails."""
    only_own_variables()
    mark_of(place, history).unlink(missing_ok=True)
    command = [sys.executable, "-m", "wandb", "sync", "--id", history.id]
    command += ["--project", tracking.project]
    command += ["--entity", tracking.wandb_entity] if tracking.wandb_entity else []
    try:
        run = subprocess.run(
            [*command, str(place)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SYNC_SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise JobError(f"wandb sync did not end in {SYNC_SECONDS} s", place, "type it again") from None
    said = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()]
    last = printable(said[-1] if said else "nothing was said")
    if run.returncode != 0 or not mark_of(place, history).exists():  # without a key it says so, and ends well
        raise JobError(f"wandb sync failed: {last}", place, "`wandb login`, or set WANDB_API_KEY; then type it again")
    return last
