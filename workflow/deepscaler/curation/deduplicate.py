"""One problem, once: exact duplicates by their canonical text, near ones by embeddings, by wording and answer."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepscaler import records
from deepscaler.curation.embed import embed, write_vectors
from deepscaler.curation.normalise import PICTURE, canonical, numerals
from deepscaler.curation.review import write_review
from deepscaler.curation.same_answer import same_answers
from deepscaler.curation.similar import Pairs, earlier_pairs
from deepscaler.curation.skeleton import formulas, skeleton
from deepscaler.curation.wording import earlier_wordings
from deepscaler.settings.curation import Deduplicate, Embedding, Wording

if TYPE_CHECKING:
    import numpy as np

STEP = "deduplicate"
EXACT, NEAR = "exact duplicate", "near duplicate"
SIMILAR, REWORDED = "near duplicate with the same answer", "same wording and answer"

Judge = Callable[[list[tuple[str, str]]], list[bool | None]]
"""Decides for each pair of problems whether they are the same; None where it cannot."""


@dataclass(frozen=True)
class Twin:
    """What a problem is a duplicate of."""

    index: int
    """Of its row, as everywhere in this module but in `candidates`."""
    score: float
    reason: str


Match = tuple[int, Twin]
"""A row and an earlier one that it may be a duplicate of."""


def deduplicate(
    *,
    problems: list[Path],
    output: Path,
    vectors: Path,
    removed: Path,
    review: Path,
    settings: Deduplicate,
    embedding: Embedding,
    wording: Wording,
    threads: int = 1,
    mirror: str | None = None,
    judge: Judge | None = None,
) -> None:
    """Write the problems that stay with their vectors, those that leave with twin and score, and doubtful pairs.

    `problems` are one file a source, the best source first: of duplicates the earliest stays.
    """
    rows = [row for path in problems for row in records.read(path, records.PROBLEM).to_pylist()]
    exact = exact_twins(rows)
    distinct = [index for index in range(len(rows)) if index not in exact]
    print(f"{len(rows)} problems, {len(exact)} of them exact duplicates")
    embedded = embed([rows[index]["problem"] for index in distinct], embedding, threads, mirror)
    some = [rows[index] for index in distinct]
    pairs = candidates(some, embedded, settings).renumbered(distinct)
    worded = alike(some, settings, wording).renumbered(distinct)
    verdicts = judged(pairs, rows, settings, judge)
    near = near_twins([*near_matches(pairs, settings, verdicts), *agreeing(rows, pairs, worded, settings, verdicts)])
    twins = exact | near
    twins = {index: final_twin(twin, twins) for index, twin in twins.items()}
    doubtful = doubtful_pairs(rows, pairs, near, settings)
    differing = label_errors(rows, twins, settings)
    write_review(review, [*differing, *doubtful])
    records.write(removed, [as_removed(rows, index, twin) for index, twin in sorted(twins.items())], records.REMOVED)
    write_vectors(vectors, embedded[[index not in twins for index in distinct]])
    records.write(output, [row for index, row in enumerate(rows) if index not in twins], records.PROBLEM)
    print(f"{len(rows) - len(twins)} stay; {dict(Counter(twin.reason for twin in twins.values()))} leave")
    print(f"{len(differing)} duplicates disagree on the answer; {len(doubtful)} pairs near the threshold: {review}")


def exact_twins(rows: list[dict[str, Any]]) -> dict[int, Twin]:
    """Row → the first row of the same canonical text, where that is another."""
    first: dict[str, int] = {}
    twins = {}
    for index, row in enumerate(rows):
        earlier = first.setdefault(canonical(row["problem"]) or row["problem"], index)
        if earlier != index:
            twins[index] = Twin(earlier, 1.0, EXACT)
    return twins


def candidates(rows: list[dict[str, Any]], vectors: "np.ndarray[Any, Any]", settings: Deduplicate) -> Pairs:
    """Pairs of `rows` that may be duplicates: near enough for removal or review, not excluded by the settings."""
    keys = numeral_keys([row["problem"] for row in rows]) if settings.same_numbers else None
    floor = min(settings.threshold - settings.margin, settings.threshold_same_answer)
    pairs = earlier_pairs(vectors, floor, settings.neighbours, keys)
    return allowed(rows, pairs, settings)


def alike(rows: list[dict[str, Any]], settings: Deduplicate, wording: Wording) -> Pairs:
    """Pairs of `rows` that are worded alike, not excluded by the settings."""
    texts = [row["problem"] for row in rows]
    pairs = earlier_wordings(texts, settings.wording_same_answer, wording)
    if settings.same_numbers:
        keys = numeral_keys(texts)
        pairs = pairs.where(keys[pairs.rows] == keys[pairs.columns])
    return allowed(rows, pairs, settings, numberless=False)


def allowed(rows: list[dict[str, Any]], pairs: Pairs, settings: Deduplicate, *, numberless: bool = True) -> Pairs:
    """Pairs of two sources, and those of one that `within_source` allows.

    `numberless` says whether two problems without any number count as having the same ones.
    """
    import numpy as np

    if settings.within_source == "always":
        return pairs
    sources = np.array([row["source"] for row in rows], dtype=object)
    keep = np.array(sources[pairs.rows] != sources[pairs.columns], dtype=bool)
    if settings.within_source == "same answer":
        numbers = cache(lambda index: numbers_of(rows[index]["problem"]))
        inside = [
            number
            for number in np.flatnonzero(~keep)
            if numbers(pairs.rows[number]) == numbers(pairs.columns[number])
            and (numberless or numbers(pairs.rows[number]))
        ]
        keep[inside] = agree(rows, [(pairs.rows[number], pairs.columns[number]) for number in inside], settings)
    return pairs.where(keep)


def numbers_of(problem: str) -> list[str]:
    """The numerals of a problem, however they are written, and those of its figures, in rising order."""
    return sorted([*numerals(skeleton(problem)), *numerals(" ".join(PICTURE.findall(problem)))])


def agree(rows: list[dict[str, Any]], pairs: Iterable[tuple[int, int]], settings: Deduplicate) -> list[bool]:
    """Whether the answers of each pair are the same."""
    asked = [(row["problem"], [row["answer"]]) for row in rows]
    return same_answers([(asked[other], asked[one]) for one, other in pairs], settings.grading)


def numeral_keys(texts: list[str], known: dict[tuple[str, ...], int] | None = None) -> "np.ndarray[Any, Any]":
    """A number for each text, equal where the numerals are the same in the same order."""
    import numpy as np

    known = {} if known is None else known
    return np.array([known.setdefault(numerals(text), len(known)) for text in texts], dtype=np.int64)


def judged(pairs: Pairs, rows: list[dict[str, Any]], settings: Deduplicate, judge: Judge | None) -> dict[int, bool]:
    """Number of a pair near the threshold → whether the judge takes it for one problem."""
    if judge is None:
        return {}
    near = [number for number, score in enumerate(pairs.scores) if abs(score - settings.threshold) <= settings.margin]
    answers = judge([(rows[pairs.rows[n]]["problem"], rows[pairs.columns[n]]["problem"]) for n in near])
    return {number: answer for number, answer in zip(near, answers, strict=True) if answer is not None}


def near_matches(pairs: Pairs, settings: Deduplicate, verdicts: dict[int, bool]) -> list[Match]:
    """The pairs that are similar enough, or that the judge takes for one problem."""
    return [
        (int(row), Twin(int(column), float(score), NEAR))
        for number, (row, column, score) in enumerate(zip(pairs.rows, pairs.columns, pairs.scores, strict=True))
        if verdicts.get(number, score >= settings.threshold)
    ]


def agreeing(
    rows: list[dict[str, Any]], pairs: Pairs, worded: Pairs, settings: Deduplicate, verdicts: dict[int, bool]
) -> list[Match]:
    """The pairs below the threshold, and those worded alike, whose answers are the same."""
    refused = {(pairs.rows[number], pairs.columns[number]) for number, same in verdicts.items() if not same}
    below = pairs.where((pairs.scores < settings.threshold) & (pairs.scores >= settings.threshold_same_answer))
    found = [
        (int(row), Twin(int(column), float(score), reason))
        for some, reason in ((below, SIMILAR), (worded, REWORDED))
        for row, column, score in zip(some.rows, some.columns, some.scores, strict=True)
        if (row, column) not in refused and may_be_one(rows[row], rows[column])
    ]
    same = agree(rows, [(row, twin.index) for row, twin in found], settings)
    return [match for match, agrees in zip(found, same, strict=True) if agrees]


def may_be_one(row: dict[str, Any], other: dict[str, Any]) -> bool:
    """Within a source most of those that differ in a formula are two problems with the same answer by chance."""
    return row["source"] != other["source"] or formulas(row["problem"]) == formulas(other["problem"])


def near_twins(matches: list[Match]) -> dict[int, Twin]:
    """Row → its twin: the first match, of each row in the given order, with an earlier row that has no twin itself.

    Rows are gone through in order, so that of a chain a ~ b ~ c with a ≁ c only b leaves.
    """
    twins: dict[int, Twin] = {}
    for row, twin in sorted(matches, key=lambda match: match[0]):
        if row not in twins and twin.index not in twins:
            twins[row] = twin
    return twins


def final_twin(twin: Twin, twins: dict[int, Twin]) -> Twin:
    """The twin that stays: where an exact duplicate's twin is itself a near duplicate, that one's twin."""
    while (next_twin := twins.get(twin.index)) is not None:
        twin = Twin(next_twin.index, min(twin.score, next_twin.score), next_twin.reason)
    return twin


def as_removed(rows: list[dict[str, Any]], index: int, twin: Twin) -> dict[str, Any]:
    return {
        **rows[index],
        "step": STEP,
        "reason": twin.reason,
        "twin": rows[twin.index]["id"],
        "score": round(twin.score, 6),
    }


def label_errors(rows: list[dict[str, Any]], twins: dict[int, Twin], settings: Deduplicate) -> list[dict[str, Any]]:
    """Duplicates whose answers the grader takes for different: one of the two is wrong, or they are no duplicates."""
    same = agree(rows, [(index, twin.index) for index, twin in twins.items()], settings)
    return [
        pair_row(rows, "answers of duplicates differ", index, twin.index, twin.score, f"removed: {twin.reason}")
        for (index, twin), agree in zip(twins.items(), same, strict=True)
        if not agree
    ]


def doubtful_pairs(
    rows: list[dict[str, Any]], pairs: Pairs, near: dict[int, Twin], settings: Deduplicate
) -> list[dict[str, Any]]:
    """The pairs nearest to the threshold, on either side of it."""
    distance = abs(pairs.scores - settings.threshold)
    inside = [number for number in range(len(distance)) if distance[number] <= settings.margin]
    inside.sort(key=lambda n: (round(float(distance[n]), 4), pairs.rows[n], pairs.columns[n]))  # digits as shown
    found = []
    for number in inside[: settings.review_pairs]:
        index, other = int(pairs.rows[number]), int(pairs.columns[number])
        decision = "removed" if index in near else "kept"
        found.append(pair_row(rows, "near the threshold", index, other, float(pairs.scores[number]), decision))
    return found


def pair_row(
    rows: list[dict[str, Any]], kind: str, index: int, other: int, score: float, decision: str
) -> dict[str, Any]:
    return {
        "kind": kind,
        "decision": decision,
        "score": f"{score:.4f}",
        "id": rows[index]["id"],
        "twin": rows[other]["id"],
        "answer": rows[index]["answer"],
        "other_answer": rows[other]["answer"],
        "problem": rows[index]["problem"],
        "other_problem": rows[other]["problem"],
    }
