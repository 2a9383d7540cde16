"""usage: python tracker_readers.py FOLDER    prints what the trackers' files hold, as JSON, by their own readers

Run by the trackers' own environment. wandb has no reader of its files in Python: their frames are those of LevelDB's
log, and what is in them is parsed by wandb's own messages.
"""

import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def of_tensorboard(folder: Path) -> dict[str, Any]:
    """Run → [step, name, value] of every event, as they stand."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*/events.*")):
        values = found.setdefault(path.parent.name, [])
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                number = value.tensor.float_val[0] if value.tensor.float_val else None
                text = value.tensor.string_val[0].decode() if value.tensor.string_val else None
                values.append([event.step, value.tag, number if text is None else text])
    return found


def of_trackio(folder: Path, project: str) -> dict[str, Any]:
    os.environ["TRACKIO_DIR"] = str(folder)
    from trackio.sqlite_storage import SQLiteStorage

    found = {}
    for record in SQLiteStorage.get_run_records(project):
        logs = SQLiteStorage.get_logs(project, record["name"], run_id=record["id"])
        config = SQLiteStorage.get_run_config(project, record["name"], run_id=record["id"])
        found[record["id"]] = {"logs": logs, "config": config}
    return found


def of_all_wandb(folder: Path) -> dict[str, Any]:
    """Run → what its files hold, one after the other."""
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*/offline-run-*/run-*.wandb")):
        file = of_wandb(path)
        before = found.get(file["id"], {"history": []})
        found[file["id"]] = file | {"history": before["history"] + file["history"]}
    return found


def of_wandb(path: Path) -> dict[str, Any]:
    """What one file holds; its history as [number, values]."""
    from wandb.proto.wandb_internal_pb2 import Record

    run: dict[str, Any] = {"history": [], "summary": {}, "axes": []}
    for frame in frames(path.read_bytes()):
        record = Record()
        record.ParseFromString(frame)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run |= {
                "id": record.run.run_id,
                "name": record.run.display_name,
                "project": record.run.project,
                "host": record.run.host,
            }
            run["config"] = {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            items = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            run["history"].append([record.history.step.num, items])
        elif kind == "metric":
            run["axes"].append([record.metric.name or record.metric.glob_name, record.metric.step_metric])
    return run


def frames(data: bytes) -> Iterator[bytes]:
    assert data[:4] == b":W&B"
    place, whole = HEADER, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + HEADER])
        piece = data[place + HEADER : place + HEADER + size]
        place += HEADER + size
        whole = piece if kind in (FULL, FIRST) else whole + piece
        if kind in (FULL, LAST):
            yield whole


def main(folder: Path) -> dict[str, Any]:
    return {
        "tensorboard": of_tensorboard(folder / "tensorboard"),
        "trackio": of_trackio(folder / "trackio", "deepscaler"),
        "wandb": of_all_wandb(folder / "wandb"),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1])), default=str))
