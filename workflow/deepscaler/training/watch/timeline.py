"""The steps of a run as they lie on disk, finished segments and the one in progress, each step once."""

from pathlib import Path

from deepscaler import dag
from deepscaler.dag.chain import Segment
from deepscaler.training.watch.metrics import Row, read_rows


def timeline(scale_name: str, work: Path) -> list[Row]:
    """Every step under {work}/{scale}, in order.

    A segment's rows are those of its newest run folder, or of its checkpoint where that is newer or alone. A segment
    that is older than the one before it belongs to an earlier try at the whole chain, and is left out.
    """
    rows: list[Row] = []
    written = 0.0
    for segment in dag.segments(scale_name):
        path = newest(work, segment)
        if path is None or path.stat().st_mtime < written:
            break
        written = path.stat().st_mtime
        latest = {row["step"]: row for row in read_rows(path) if segment.first < row["step"] <= segment.last}
        rows += [latest[step] for step in sorted(latest)]
        if segment.last not in latest:
            break
    return rows


def newest(work: Path, segment: Segment) -> Path | None:
    """The file in which a segment's steps are."""
    found = [*work.glob(f"runs/{segment.id}-*/metrics.jsonl"), *work.glob(f"checkpoints/{segment.id}/metrics.jsonl")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)
