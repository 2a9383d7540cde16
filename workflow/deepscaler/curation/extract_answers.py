"""An answer for every problem: as the source has it, from boxes and choices, else read by a language model."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepscaler import records
from deepscaler.curation.answers import Choices, choice_letter, marked_value, split_choices, tidy
from deepscaler.curation.fetch_source import DEFECT
from deepscaler.curation.review import write_review
from deepscaler.reward.pool import GradingPool
from deepscaler.reward.response import boxed_answer
from deepscaler.settings.curation import ExtractAnswers

STEP = "extract_answers"
NEEDS_CHOICES = re.compile(
    r"\bwhich (?:one )?of (?:the following|these)\b|\bof the following\b|\bof the \w+ below\b|\bclosest to\b", re.I
)


@dataclass(frozen=True)
class Reading:
    """What was read of one row."""

    problem: str
    answer: str | None = None
    raw: str | None = None
    origin: str | None = None
    second: str | None = None
    """The answer by another way, for comparison."""
    reason: str | None = None
    """Why there is no answer."""


def extract_answers(
    *, problems: Path, output: Path, removed: Path, review: Path, settings: ExtractAnswers, cache: Path
) -> None:
    """Write the rows that have an answer to `output` and the others, with the reason, to `removed`.

    Where two ways give different answers, the row goes to `review`, for people; the source's own answer is kept.
    """
    rows = records.read(problems, records.PROBLEM).to_pylist()
    readings = [read_answer(row, settings) for row in rows]
    readings = ask_for_missing(rows, readings, settings, cache)
    kept = [with_answer(row, reading) for row, reading in zip(rows, readings, strict=True) if reading.answer]
    left = [
        {**row, "step": STEP, "reason": reading.reason}
        for row, reading in zip(rows, readings, strict=True)
        if not reading.answer
    ]
    write_review(review, disagreements(rows, readings, settings))
    records.write(removed, left, records.REMOVED)
    records.write(output, kept, records.PROBLEM)
    print(f"{len(kept)} of {len(rows)} have an answer: {counted(reading.origin for reading in readings)}")
    print(f"{len(left)} set aside: {counted(row['reason'] for row in left)}")


def read_answer(row: dict[str, Any], settings: ExtractAnswers) -> Reading:
    """The answer that a row itself gives."""
    problem = row["problem"]
    if defect := json.loads(row["metadata"]).get(DEFECT):
        return Reading(problem or "", reason=f"defect: {defect}")
    choices = split_choices(problem, fewest=settings.min_choices, longest=settings.max_choice_characters)
    found = [
        resolved(text, origin, choices)
        for text, origin in ((row["answer_raw"], "given"), (boxed_answer(row["solution"] or "", "strict"), "boxed"))
        if text
    ]
    good = [(answer, raw, origin) for answer, raw, origin in found if answer]
    stem = choices.stem if choices else problem
    if not good:
        return Reading(stem, reason="no answer: a choice letter without its choices" if found else "no answer")
    if choices and NEEDS_CHOICES.search(stem):
        return Reading(stem, reason="makes no sense without its choices")
    answer, raw, origin = good[0]
    if len(answer) > settings.max_answer_characters:
        return Reading(stem, reason="no answer: a whole solution in its place")
    return Reading(stem, answer, raw, origin, good[1][0] if len(good) > 1 else None)


def resolved(text: str, origin: str, choices: Choices | None) -> tuple[str | None, str, str]:
    """(answer or None, raw, origin): a choice's letter becomes its value."""
    if value := marked_value(text):
        return tidy(value), text, "choice"
    letter = choice_letter(tidy(text))
    if letter and choices:
        value = choices.values.get(letter)
        return (tidy(value) if value else None), text, "choice"
    if letter and origin == "boxed":
        return None, text, origin
    return tidy(text) or None, text, origin


def ask_for_missing(
    rows: list[dict[str, Any]], readings: list[Reading], settings: ExtractAnswers, cache: Path
) -> list[Reading]:
    """Have a language model read the solutions of those without an answer, where one is set."""
    missing = [
        index
        for index, (row, reading) in enumerate(zip(rows, readings, strict=True))
        if reading.reason and reading.reason.startswith("no answer") and row["solution"]
    ]
    if not missing:
        return readings
    if settings.language_model is None:
        return readings
    from deepscaler.curation.llm.read_solutions import read_solutions

    replies = read_solutions(
        [(readings[index].problem, rows[index]["solution"][-settings.max_solution_characters :]) for index in missing],
        settings.language_model,
        cache,
        longest=settings.max_reply_characters,
    )
    for index, reply in zip(missing, replies, strict=True):
        change = (
            {"answer": tidy(reply.answer), "raw": reply.answer, "origin": "llm", "reason": None}
            if reply.answer
            else {"reason": f"no answer: {reply.reason}"}
        )
        readings[index] = replace(readings[index], **change)
    return readings


def with_answer(row: dict[str, Any], reading: Reading) -> dict[str, Any]:
    return {
        **row,
        "problem": reading.problem,
        "answer": reading.answer,
        "answer_raw": reading.raw,
        "answer_origin": reading.origin,
    }


def disagreements(
    rows: list[dict[str, Any]], readings: list[Reading], settings: ExtractAnswers
) -> list[dict[str, Any]]:
    """Rows of which two ways give answers that the reward takes for different."""
    both = [
        (row, reading)
        for row, reading in zip(rows, readings, strict=True)
        if reading.answer and reading.second and reading.answer != reading.second
    ]
    if not both:
        return []
    with GradingPool(seconds=settings.grading.seconds, memory_mb=settings.grading.memory_mb) as pool:
        verdicts = pool.grade_pairs((reading.answer or "", reading.second or "", "strict") for _, reading in both)
        return [
            {
                "kind": "answers differ within a row",
                "id": row["id"],
                "answer": reading.answer,
                "other_answer": reading.second,
                "problem": reading.problem,
            }
            for (row, reading), verdict in zip(both, verdicts, strict=True)
            if not verdict.correct
        ]


def counted(words: Iterable[str | None]) -> str:
    return ", ".join(f"{count} {word}" for word, count in Counter(filter(None, words)).most_common()) or "none"
