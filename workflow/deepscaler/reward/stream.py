"""Grading a JSON Lines file of any length: constant memory, verdicts in the order of the lines."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from deepscaler.files import LONGEST_LINE, opened, writing
from deepscaler.progress import progress
from deepscaler.reward.grade import golds_of
from deepscaler.reward.pool import GradingPool
from deepscaler.reward.verdicts import Golds, Mode, ResponseVerdict, ThinkRule, Verdict

LINES = 512
"""Lines in memory at a time."""


@dataclass
class Summary:
    """Counts over a file: all lines, right answers, and lines that hold no gradable pair."""

    lines: int = 0
    correct: int = 0
    unreadable: int = 0


def grade_pairs_file(source: Path, target: Path, mode: Mode, pool: GradingPool) -> Summary:
    """Grade lines `{"id", "gold", "prediction"}` into lines `{"id", "correct", "reason"}`."""

    def task(row: dict[str, Any]) -> tuple[Golds, str, Mode]:
        return golds_of(golds_in(row, "gold")), text_in(row, "prediction"), mode

    return grade_file(source, target, task, pool.grade_pairs)


def grade_responses_file(source: Path, target: Path, mode: Mode, think: ThinkRule, pool: GradingPool) -> Summary:
    """Grade lines `{"id", "golds", "response"}` into lines `{"id", "correct", "reason", "answer", "well_formed"}`."""

    def task(row: dict[str, Any]) -> tuple[Golds, str, Mode, ThinkRule]:
        return golds_of(golds_in(row, "golds")), text_in(row, "response"), mode, think

    return grade_file(source, target, task, pool.grade_responses)


def grade_file(
    source: Path,
    target: Path,
    task: Callable[[dict[str, Any]], Any],
    grade: Callable[[list[Any]], Iterator[Verdict | ResponseVerdict]],
) -> Summary:
    summary = Summary()
    bar = progress(total=count_lines(source), what="grade", unit=" answers")
    with opened(source) as lines, writing(target) as aside, aside.open("w", encoding="utf-8") as out:
        while batch := list(islice(bounded_lines(lines), LINES)):
            read = [read_line(line, task) for line in batch if line.strip()]
            verdicts = grade([item for _, item, problem in read if not problem])
            for identity, _, problem in read:
                verdict = Verdict(False, problem) if problem else next(verdicts)
                out.write(as_line(identity, verdict) + "\n")
                summary.lines += 1
                summary.correct += verdict.correct
                summary.unreadable += bool(problem)
            bar.update(len(batch))
    bar.close()
    return summary


def bounded_lines(handle: BinaryIO) -> Iterator[bytes]:
    """Lines of at most LONGEST_LINE bytes: of a longer one, which can't be graded, only its beginning."""
    while line := handle.readline(LONGEST_LINE):
        whole = line
        while whole and not whole.endswith(b"\n"):
            whole = handle.readline(LONGEST_LINE)
        yield line


def read_line(line: bytes, task: Callable[[dict[str, Any]], Any]) -> tuple[Any, Any, str]:
    """The line's id, its task, and what is wrong with it, empty if nothing is."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return None, None, f"line: not JSON ({type(error).__name__})" if len(line) < LONGEST_LINE else "line: too long"
    if not isinstance(row, dict):
        return None, None, "line: not a JSON object"
    try:
        return row.get("id"), task(row), ""
    except (KeyError, TypeError) as error:
        return row.get("id"), None, f"line: {error.args[0]}"


def golds_in(row: dict[str, Any], key: str) -> Golds:
    """A string, a number or a non-empty list of them, under `gold` or `golds`."""
    value = row.get(key, row.get("gold", row.get("golds")))
    several = value if isinstance(value, list) else [value]
    if not several or not all(isinstance(gold, str | int | float) for gold in several):
        raise TypeError(f"{key!r} is neither text nor a list of texts")
    return [str(gold) for gold in several]


def text_in(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str | int | float):
        raise TypeError(f"{key!r} is not text")
    return str(value)


def as_line(identity: Any, verdict: Verdict | ResponseVerdict) -> str:
    row: dict[str, Any] = {"id": identity, "correct": verdict.correct, "reason": verdict.reason}
    if isinstance(verdict, ResponseVerdict):
        row |= {"answer": verdict.answer, "well_formed": verdict.well_formed}
    return json.dumps(row)


def count_lines(path: Path) -> int:
    with opened(path) as handle:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: handle.read(1 << 20), b""))
