"""One problem, once: exact duplicates by their canonical text, near ones by the similarity of their embeddings."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepscaler import records
from deepscaler.curation.embed import embed, write_vectors
from deepscaler.curation.normalise import canonical, numerals
from deepscaler.curation.review import write_review
from deepscaler.curation.similar import Pairs, earlier_pairs
from deepscaler.reward.pool import GradingPool
from deepscaler.reward.verdicts import STRICT
from deepscaler.settings.curation import Deduplicate, Embedding

if TYPE_CHECKING:
    import numpy as np

STEP = "deduplicate"
EXACT, NEAR = "exact duplicate", "near duplicate"

Judge = Callable[[list[tuple[str, str]]], list[bool | None]]
"""Decides for each pair of problems whether they are the same; None where it cannot."""


@dataclass(frozen=True)
class Twin:
    """What a problem is a duplicate of."""

    index: int
    """Of its row, as everywhere in this module but in `candidates`."""
    score: float
    reason: str


def deduplicate(
    *,
    problems: list[Path],
    output: Path,
    vectors: Path,
    removed: Path,
    review: Path,
    settings: Deduplicate,
    embedding: Embedding,
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
    pairs = candidates([rows[index] for index in distinct], embedded, settings).renumbered(distinct)
    near = near_twins(pairs, settings.threshold, judged(pairs, rows, settings, judge))
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
    import numpy as np

    keys = numeral_keys([row["problem"] for row in rows]) if settings.same_numbers else None
    pairs = earlier_pairs(vectors, settings.threshold - settings.margin, settings.neighbours, keys)
    if settings.within_source == "always":
        return pairs
    sources = np.array([row["source"] for row in rows], dtype=object)
    keep = sources[pairs.rows] != sources[pairs.columns]
    if settings.within_source == "same answer":
        counts = [sorted(numerals(row["problem"])) for row in rows]
        inside = [i for i in np.flatnonzero(~keep) if counts[pairs.rows[i]] == counts[pairs.columns[i]]]
        keep[inside] = same_answers(rows, [(pairs.rows[index], pairs.columns[index]) for index in inside], settings)
    return Pairs(pairs.rows[keep], pairs.columns[keep], pairs.scores[keep])


def same_answers(rows: list[dict[str, Any]], pairs: list[tuple[int, int]], settings: Deduplicate) -> list[bool]:
    """Whether the strict grader takes the answers of each pair for the same."""
    if not pairs:
        return []
    with GradingPool(seconds=settings.grading.seconds, memory_mb=settings.grading.memory_mb) as pool:
        items = ((rows[other]["answer"], rows[one]["answer"], STRICT) for one, other in pairs)
        return [verdict.correct for verdict in pool.grade_pairs(items)]


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


def near_twins(pairs: Pairs, threshold: float, verdicts: dict[int, bool]) -> dict[int, Twin]:
    """Row → its twin: the most similar earlier row that has no twin itself.

    Rows are gone through in order, so that of a chain a ~ b ~ c with a ≁ c only b leaves.
    """
    twins: dict[int, Twin] = {}
    for number in range(len(pairs.rows)):
        row, column, score = int(pairs.rows[number]), int(pairs.columns[number]), float(pairs.scores[number])
        same = verdicts.get(number, score >= threshold)
        if same and row not in twins and column not in twins:
            twins[row] = Twin(column, score, NEAR)
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
    same = same_answers(rows, [(index, twin.index) for index, twin in twins.items()], settings)
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
