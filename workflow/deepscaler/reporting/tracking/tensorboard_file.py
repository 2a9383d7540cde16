"""TensorBoard's event file of a run, made anew from all that stands.

Equal history makes equal bytes. So what was written before is the beginning of what is to be there, as long as steps
are only added: then the rest is appended, also where a kill left half a record. Else a new file takes its place, whole.
"""

from pathlib import Path

import yaml

from deepscaler.reporting.tracking.history import History


def write(history: History, folder: Path) -> Path:
    """Bring {folder}/{name}/events.out.tfevents.N.deepscaler up to date.

    N rises with each new file; the one before it is emptied, not removed: a viewer that has it open finds nothing more
    there and goes on to the new one.
    """
    place = folder / history.name
    place.mkdir(parents=True, exist_ok=True)
    *older, newest = sorted(place.glob("events.out.tfevents.*")) or [name_of(place, 1)]
    aside = place / ".events.part"
    write_events(history, aside)
    there, wanted = newest.read_bytes() if newest.exists() else b"", aside.read_bytes()
    if wanted.startswith(there):
        with newest.open("ab") as handle:
            handle.write(wanted[len(there) :])
        aside.unlink()
    else:
        older.append(newest)
        newest = name_of(place, number_of(newest) + 1)
        aside.replace(newest)
    for path in older[:-1]:
        path.unlink()
    for path in older[-1:]:
        path.write_bytes(b"")
    return newest


def name_of(place: Path, number: int) -> Path:
    return place / f"events.out.tfevents.{number:010}.deepscaler"


def number_of(path: Path) -> int:
    return int(path.name.split(".")[3])


def write_events(history: History, path: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text.metadata import create_summary_metadata
    from tensorboard.summary.writer.record_writer import RecordWriter
    from tensorboard.util import tensor_util

    began = history.points[0].time
    text = "```\n" + yaml.safe_dump(history.config, sort_keys=False, allow_unicode=True) + "```"
    config = Summary.Value(
        tag="settings",
        metadata=create_summary_metadata("settings", "Settings, seed and commit"),
        tensor=tensor_util.make_tensor_proto([text]),
    )
    with path.open("wb") as handle:
        writer = RecordWriter(handle)

        def add(**content: object) -> None:
            writer.write(Event(**content).SerializeToString())

        add(wall_time=began, file_version="brain.Event:2")
        # a viewer forgets what it knew from this step on, of a run that begins again
        add(wall_time=began, step=0, session_log=SessionLog(status=SessionLog.START))
        add(wall_time=began, step=0, summary=Summary(value=[config]))
        for point in history.points:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in point.values.items()]
            add(wall_time=point.time, step=point.step, summary=Summary(value=values))
        writer.flush()
