"""A failed job in four lines: why, the last useful line of its log, where that is, and what to do."""

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepscaler import job_log
from deepscaler.job_log import OWN_ERROR, STATUS, ending, last_useful_line

HINT = " Hint: "
MEND = "mend the cause"


@dataclass(frozen=True)
class Failure:
    """What is known of a job that failed."""

    name: str
    """The rule, or the group of jobs."""
    what: str
    """The job, as its rule's message says; empty where nothing is known."""
    why: str | None
    last: str | None
    """The last useful line of its log."""
    logs: tuple[str, ...]
    advice: str

    def parts(self) -> Iterator[tuple[str, str]]:
        """Name and text of its lines."""
        if self.why:
            yield "why", self.why
        if self.last:
            yield "last", self.last
        if self.logs:
            yield "log", ", ".join(self.logs)
        yield "next", self.advice


def failure_of(rule: str, what: str, logs: list[str], said: str) -> Failure:
    """From what Snakemake tells of a job's error: its logs (SLURM's last), and words on its command's end."""
    log = Path(logs[0]) if logs else None
    ended = ending(log, rule, said, Path(logs[-1]) if len(logs) > 1 else None)
    last = last_useful_line(log) if log else None
    hint = None
    if last and last.startswith(OWN_ERROR):
        last, _, hint = last.removeprefix(OWN_ERROR).partition(HINT)
    why = ended.cause if ended else refusal(said)
    advice = hint or (ended.advice if ended else f"read the end of its log and {MEND}, then {again()}")
    return Failure(rule, what, why, last, tuple(logs), advice)


def told_to_end(logs: list[str]) -> str | None:
    """Of a job that did not fail but was told to end: what it said last."""
    return job_log.told_to_end(last_useful_line(Path(logs[0]))) if logs else None


def refusal(said: str) -> str | None:
    """Of a submission that failed: the scheduler's own line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines or STATUS.search(said):
        return None
    return " ".join(line for line in lines if "sbatch call" not in line)[:300]


def again() -> str:
    """How to go on: the command that was typed."""
    return f"type it again, finished jobs are kept: {command()}"


def command() -> str:
    if os.environ.get("MAKELEVEL") and sys.argv[-1:] == ["mini"]:
        return "make mini"
    program = Path(sys.argv[0])
    inside = program.is_absolute() and program.is_relative_to(Path.cwd())
    return shlex.join([str(program.relative_to(Path.cwd()) if inside else program), *sys.argv[1:]])
