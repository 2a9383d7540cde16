"""The jobs that made a scale's files, from Snakemake's own records.

Snakemake keeps a record of every finished job's outputs in .snakemake/metadata: rule, inputs, command and times. They
are read as plain JSON; where they are gone, as after a download of results, no jobs are found.
"""

import ast
import base64
import binascii
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.files import read_json
from deepscaler.reporting.file_names import WORK, name_of, path_of
from deepscaler.settings.rules import RULES


@dataclass(frozen=True)
class RunJob:
    """One finished job. Files are given by name: relative to the checkout, or `work/…` under the work root."""

    rule: str
    command: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    log: str | None
    settings: tuple[str, ...]
    """What decided its files, each as `kl.coefficient=0.001`."""
    started: float
    """Seconds since the epoch, UTC."""
    ended: float


def run_jobs(scale: str) -> list[RunJob]:
    """The finished jobs of a scale whose outputs are still there, in the order in which they ended."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for output, record in job_records(settings.run_root() / ".snakemake" / "metadata"):
        name = name_of(output)
        if not name.startswith((f"results/{scale}/", f"{WORK}{scale}/")) or not path_of(name).exists():
            continue
        job = found.setdefault((record["rule"], record.get("shellcmd") or name), {**record, "outputs": []})
        job["outputs"].append(name)
    jobs = [
        RunJob(
            rule=own_name(job["rule"]),
            command=" ".join((job.get("shellcmd") or "").split())
            .removesuffix("2>&1 | tee " + first(job["log"]))
            .strip(),
            inputs=tuple(sorted(name_of(path) for path in job["input"] or [])),
            outputs=tuple(sorted(job["outputs"])),
            log=first(job["log"]) or None,
            settings=tuple(settings_of(job.get("params") or [])),
            started=job["starttime"] or job["endtime"],
            ended=job["endtime"],
        )
        for job in found.values()
    ]
    return sorted(jobs, key=lambda job: (job.ended, job.outputs))


def own_name(rule: str) -> str:
    """A rule's name here, which another workflow that uses this one as a module may have put a prefix to."""
    return next((name for name in RULES if rule == name or rule.endswith(f"_{name}")), rule)


def settings_of(parameters: list[str]) -> Iterator[str]:
    """The rule's parameters that are settings, out of Snakemake's record, which keeps each as Python writes a value."""
    for written in parameters:
        if written[:1] in ("'", '"') and "=" in written:  # a text, so nothing within it is nested
            with contextlib.suppress(ValueError, SyntaxError):
                yield from str(ast.literal_eval(written)).split("; ")


def first(values: list[str] | None) -> str:
    return values[0] if values else ""


def job_records(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(output, record) of all complete records; a file's name is its output in base64, long ones cut into folders."""
    for path in folder.rglob("*") if folder.is_dir() else ():
        if not path.is_file():
            continue
        encoded = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
        try:
            output = base64.urlsafe_b64decode(encoded).decode()
            record = read_json(path)
        except (binascii.Error, ValueError, UserError):
            continue  # not a record, or one that is being written
        if isinstance(record, dict) and record.get("rule") and record.get("endtime") and not record.get("incomplete"):
            yield output, record
