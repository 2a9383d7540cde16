"""An answer for every problem: as the source has it, from boxes and choices, else read by a language model."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepscaler import records
from deepscaler.curation.answers import Choices, choice_letter, marked_value, split_choices, tidy
from deepscaler.curation.boxes import boxes, holds_several, listed_together
from deepscaler.curation.characters import foreign_script
from deepscaler.curation.fetch_source import DEFECT
from deepscaler.curation.normalise import canonical
from deepscaler.curation.review import write_review
from deepscaler.reward.pool import GradingPool
from deepscaler.reward.verdicts import STRICT
from deepscaler.settings.curation import ExtractAnswers

STEP = "extract_answers"
NEEDS_CHOICES = re.compile(
    r"\bwhich (?:one )?of (?:the following|these)\b|\bof the following\b|\bof the \w+ below\b|\bclosest to\b", re.I
)

ASKS_FOR_SEVERAL = re.compile(r"\bseparated by commas?\b|\b(?:enter|list|find) all (?:the )?possible\b", re.IGNORECASE)
LIST = re.compile(r",|\b(?:and|or)\b|\\cup|\\pm|\\infty")
SIGNATURE = re.compile(r"\s~\s?[A-Za-z][\w.]{2,40}\s*$")
"""Of a contest wiki's author, at a problem's end."""
SIGNATURES = 10
TAIL = 64
"""Characters of a text's end that a signature lies in."""


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
    doubt: str | None = None
    """Why a person should look at the answer that there is."""


def extract_answers(
    *, problems: Path, output: Path, removed: Path, review: Path, settings: ExtractAnswers, cache: Path
) -> None:
    """Write the rows that have an answer to `output` and the others, with the reason, to `removed`.

    Where two ways give different answers, the row goes to `review`, for people; the source's own answer is kept.
    """
    rows = records.read(problems, records.PROBLEM).to_pylist()
    with closing(GradingPool(seconds=settings.grading.seconds, memory_mb=settings.grading.memory_mb)) as pool:
        readings = [read_answer(row, settings, pool) for row in rows]
    readings = ask_for_missing(rows, readings, settings, cache)
    kept = [with_answer(row, reading) for row, reading in zip(rows, readings, strict=True) if reading.answer]
    left = [
        {**row, "step": STEP, "reason": reading.reason}
        for row, reading in zip(rows, readings, strict=True)
        if not reading.answer
    ]
    write_review(review, [*disagreements(rows, readings, settings), *doubtful(rows, readings)])
    records.write(removed, left, records.REMOVED)
    records.write(output, kept, records.PROBLEM)
    print(f"{len(kept)} of {len(rows)} have an answer: {counted(reading.origin for reading in readings)}")
    print(f"{len(left)} set aside: {counted(row['reason'] for row in left)}")


def read_answer(row: dict[str, Any], settings: ExtractAnswers, pool: GradingPool) -> Reading:
    """The answer that a row itself gives."""
    if defect := json.loads(row["metadata"]).get(DEFECT):
        return Reading(row["problem"] or "", reason=f"defect: {defect}")
    problem = without_signatures(row["problem"])
    choices = split_choices(problem, fewest=settings.min_choices, longest=settings.max_choice_characters)
    boxed, doubt = boxed_answers(row["solution"] or "", choices, pool)
    found = [resolved(row["answer_raw"], "given", choices), *boxed] if row["answer_raw"] else boxed
    good = [(answer, raw, origin) for answer, raw, origin in found if answer]
    stem = choices.stem if choices else problem
    if not good:
        return Reading(stem, reason="no answer: a choice letter without its choices" if found else "no answer")
    if choices and NEEDS_CHOICES.search(stem):
        return Reading(stem, reason="makes no sense without its choices")
    answer, raw, origin = good[0]
    if len(answer) > settings.max_answer_characters:
        return Reading(stem, reason="no answer: a whole solution in its place")
    second = good[1][0] if len(good) > 1 else None
    if doubt == LISTED and second and origin == "given" and answer in second.split(", "):
        answer, second = second, answer  # the source holds one of the answers that its solution lists
    if not doubt and ASKS_FOR_SEVERAL.search(stem) and not LIST.search(answer):
        doubt = "one answer where several are asked for"
    return Reading(stem, answer, raw, origin, second, doubt=doubt or foreign_script(stem))


LISTED, DIFFERING = "a solution that lists several answers", "a solution with boxes that differ"


def boxed_answers(
    solution: str, choices: Choices | None, pool: GradingPool
) -> tuple[list[tuple[str | None, str, str]], str | None]:
    """What a solution's boxes say, as one answer: all of them where they differ; and in what way that is in doubt."""
    found = boxes(solution)
    if not found:
        return [], None
    said = [resolved(box.content, "boxed", choices) for box in found]
    distinct: list[tuple[str | None, str, str]] = []
    for one in said:
        if one[0] and not any(same(one[0], other[0] or "", pool) for other in distinct):
            distinct.append(one)
    if len(distinct) < 2:
        one = said[-1] if said[-1][0] or not distinct else distinct[-1]
        return [one], LISTED if one[0] and holds_several(one[0]) else None
    joined = ", ".join(answer for answer, _, _ in distinct if answer)
    raw = " ".join(raw for _, raw, _ in distinct)
    return [(joined, raw, distinct[-1][2])], LISTED if listed_together(solution, found) else DIFFERING


def same(one: str, other: str, pool: GradingPool) -> bool:
    return canonical(one) == canonical(other) or next(pool.grade_pairs([(other, one, STRICT)])).correct


def without_signatures(problem: str) -> str:
    """A problem without the names that a wiki's authors left behind it."""
    for _ in range(SIGNATURES):
        found = SIGNATURE.search(problem, max(0, len(problem) - TAIL))
        if not found:
            break
        problem = problem[: found.start()].rstrip()
    return problem


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
        if reading.answer and reading.second and reading.answer != reading.second and not reading.doubt
    ]
    if not both:
        return []
    with GradingPool(seconds=settings.grading.seconds, memory_mb=settings.grading.memory_mb) as pool:
        verdicts = pool.grade_pairs((reading.answer or "", reading.second or "", STRICT) for _, reading in both)
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


def doubtful(rows: list[dict[str, Any]], readings: list[Reading]) -> Iterable[dict[str, Any]]:
    """Rows that are kept, but for a person to look at."""
    for row, reading in zip(rows, readings, strict=True):
        if reading.answer and reading.doubt:
            yield {
                "kind": reading.doubt,
                "id": row["id"],
                "answer": reading.answer,
                "other_answer": reading.second,
                "problem": reading.problem,
            }


def counted(words: Iterable[str | None]) -> str:
    return ", ".join(f"{count} {word}" for word, count in Counter(filter(None, words)).most_common()) or "none"
