"""trackio's database: the run's rows, each by a key of its step and values, so that none is there twice."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from deepscaler.files import digest_of
from deepscaler.reporting.tracking.history import History, Point


def write(history: History, folder: Path, project: str) -> Path:
    """Bring the run in {folder}/{project}.db up to date. Where a row that is there no longer stands, all are written
    anew; a kill between the two leaves a run that the next call fills."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TRACKIO_DIR"] = str(folder)  # read when it is imported
    from trackio.sqlite_storage import SQLiteStorage

    rows = {key_of(history, point): point for point in history.points}
    database = Path(SQLiteStorage.get_project_db_path(project))
    if keys_in(database, history.id) - set(rows):
        SQLiteStorage.delete_run(project, history.name, run_id=history.id)
    SQLiteStorage.bulk_log(
        project=project,
        run=history.name,
        run_id=history.id,
        metrics_list=[point.values for point in rows.values()],
        steps=[point.step for point in rows.values()],
        timestamps=[datetime.fromtimestamp(point.time, UTC).isoformat() for point in rows.values()],
        log_ids=list(rows),
        config=history.config,
    )
    return database


def key_of(history: History, point: Point) -> str:
    # by repr, in which a value that is no number equals itself
    return f"{history.id}:{point.step}:{digest_of(repr((point.time, sorted(point.values.items()))))[:16]}"


def keys_in(database: Path, run: str) -> set[str]:
    """The keys of a run's rows; a row without one is an unknown key."""
    if not database.exists():
        return set()
    with closing(sqlite3.connect(database)) as connection:
        try:
            found = connection.execute("SELECT log_id FROM metrics WHERE run_id = ?", (run,)).fetchall()
        except sqlite3.OperationalError:  # a kill before the tables were made
            return set()
    return {str(key) for (key,) in found}
