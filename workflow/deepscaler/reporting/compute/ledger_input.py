"""What a run measured, from the files it left: compute.csv, benchmark files, metrics of training steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepscaler.errors import UserError
from deepscaler.reporting.claims.results import number, read_rows
from deepscaler.reporting.compute.account_compute import ALL, TOTAL, read_jobs
from deepscaler.settings import project_root, run_root
from deepscaler.training.watch import metrics


@dataclass(frozen=True)
class Ledger:
    """Jobs and their wall seconds, added up, by rule and stage."""

    where: str
    jobs: dict[tuple[str, str], tuple[int, float]]


def read_ledger(scale: str, given: Path | None) -> Ledger | None:
    """A ledger from a given file or folder, or from the first of those that a run leaves; else the reference run's."""
    root = run_root()
    own = [root / "results" / scale / "compute.csv", root / "logs" / scale]
    candidates = [given] if given else [*own, project_root() / "results" / "reference" / scale / "compute.csv"]
    for path in candidates:
        if path.is_dir() and (path / "compute.csv").exists():
            path = path / "compute.csv"
        jobs = from_table(path) if path.is_file() else from_benchmarks(scale, path)
        if jobs:
            return Ledger(str(path.relative_to(root) if path.is_relative_to(root) else path), jobs)
    return None


def from_table(path: Path) -> dict[tuple[str, str], tuple[int, float]]:
    found = {}
    for row in read_rows(path):
        rule, stage = row.get("rule", ""), row.get("stage", "")
        if rule in ("", TOTAL) or stage == ALL:
            continue
        jobs, hours = number(row, "jobs", path), number(row, "wall_hours", path)
        found[rule, stage] = (int(jobs or 0), (hours or 0.0) * 3600)
    return found


def from_benchmarks(scale: str, folder: Path) -> dict[tuple[str, str], tuple[int, float]]:
    found: dict[tuple[str, str], tuple[int, float]] = {}
    for job in read_jobs(scale, folder):
        jobs, seconds = found.get((job.rule, job.stage), (0, 0.0))
        found[job.rule, job.stage] = (jobs + 1, seconds + job.seconds)
    return found


def metrics_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of training steps: of one metrics.jsonl, of all below a folder, or of a training.csv."""
    if not path.exists():
        raise UserError("no such file or folder", path, "give metrics.jsonl, training.csv, or a folder of a run")
    if path.suffix == ".csv":
        for row in read_rows(path):
            yield {key: numeric(value) for key, value in row.items()}
        return
    for file in [path] if path.is_file() else sorted(path.rglob("metrics.jsonl")):
        yield from metrics.read_rows(file)


def numeric(text: str) -> Any:
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() and text.isdigit() else value
