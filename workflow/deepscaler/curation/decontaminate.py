"""Training problems that a benchmark holds too: by exact text, by shared runs of words, by wording, by embedding."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepscaler import records
from deepscaler.curation.deduplicate import numeral_keys
from deepscaler.curation.embed import embed, read_vectors
from deepscaler.curation.normalise import canonical, numerals, words
from deepscaler.curation.review import write_review
from deepscaler.curation.same_answer import same_answers
from deepscaler.curation.similar import Pairs, similar_pairs
from deepscaler.curation.skeleton import formulas, skeleton
from deepscaler.curation.wording import shared_wordings
from deepscaler.settings.curation import Decontaminate, Embedding, Wording

if TYPE_CHECKING:
    from deepscaler.curation.embed import Vectors

STEP = "decontaminate"
DIGITS = 4
"""Of a similarity or a share, in the report and in its order."""
COLUMNS = (
    *("decision", "found_by", "similarity", "shared_runs", "wording", "same_answer", "same_numbers"),
    *("id", "benchmark_id"),
    *("answer", "benchmark_answers", "problem", "benchmark_problem"),
)


@dataclass
class Overlap:
    """What a training problem and a benchmark problem have in common."""

    exact: bool = False
    shared: float = 0.0
    """Share of the benchmark problem's n-grams that the training problem has."""
    similarity: float = 0.0
    wording: float = 0.0
    """What they share of their letters, without figures, names and variables."""
    same_answer: bool = False
    """Whether the strict grader takes the answers for the same, but for their form."""
    same_numbers: bool = False
    """Whether there are numerals, and all of them the same."""
    same_formulas: bool = False
    """Whether there are formulas, and all of them the same but for their variables."""

    @property
    def sibling(self) -> bool:
        """Of one template, but another problem: answers, numbers and formulas differ."""
        agree = self.same_answer or self.same_numbers or self.same_formulas
        return not (self.exact or self.shared == 1 or agree)

    def worded(self, settings: Decontaminate) -> bool:
        """Whether the wording is so near that, with what else agrees, it is the same problem."""
        if self.same_answer and self.same_numbers:
            return self.wording >= settings.wording
        return self.wording >= settings.wording_alone

    def found_by(self, settings: Decontaminate) -> list[str]:
        """The ways in which the pair counts as contamination."""
        if self.sibling and settings.siblings == "keep":
            return []
        agree = self.exact or self.shared == 1 or self.same_answer or self.same_numbers or settings.siblings == "remove"
        threshold = settings.threshold_same_answer if self.same_answer else settings.threshold
        ways = (
            ("exact text", self.exact),
            (f"{settings.ngram}-grams", agree and self.shared >= settings.ngram_share),
            ("embedding", agree and self.similarity >= threshold),
            ("wording", (self.same_answer or self.same_formulas) and self.worded(settings)),
        )
        return [name for name, found in ways if found]


def decontaminate(
    *,
    problems: Path,
    vectors: Path,
    benchmarks: list[Path],
    output: Path,
    removed: Path,
    report: Path,
    settings: Decontaminate,
    embedding: Embedding,
    wording: Wording,
    threads: int = 1,
    mirror: str | None = None,
) -> None:
    """Write the problems that no benchmark holds, those that leave, and all overlapping pairs side by side.

    `vectors` are the problems' embeddings, as `deduplicate` left them.
    """
    rows = records.read(problems, records.PROBLEM).to_pylist()
    tests = [row for path in benchmarks for row in records.read(path, records.BENCHMARK_PROBLEM).to_pylist()]
    texts, test_texts = [row["problem"] for row in rows], [row["problem"] for row in tests]
    overlaps: defaultdict[tuple[int, int], Overlap] = defaultdict(Overlap)
    for pair in exact_pairs(texts, test_texts):
        overlaps[pair].exact = True
    floor = min(settings.ngram_share, settings.report_ngram_share)
    for pair, share in shared_runs(texts, test_texts, settings.ngram, floor):
        overlaps[pair].shared = share
    embedded = read_vectors(vectors, len(texts))
    test_embedded = embed(test_texts, embedding, threads, mirror)
    for pair, score in near_pairs(texts, test_texts, embedded, test_embedded, settings):
        overlaps[pair].similarity = score
    for pair, share in alike(texts, test_texts, settings, wording):
        overlaps[pair].wording = share
    compare(rows, tests, overlaps, settings)
    contaminated = {pair: overlap for pair, overlap in overlaps.items() if overlap.found_by(settings)}
    worst = strongest_of_each(contaminated)
    write_review(report, report_rows(rows, tests, overlaps, settings), COLUMNS)
    records.write(
        removed,
        [as_removed(rows[index], tests[test], overlaps[index, test], settings) for index, test in worst.items()],
        records.REMOVED,
    )
    records.write(output, [row for index, row in enumerate(rows) if index not in worst], records.PROBLEM)
    by_benchmark = Counter(tests[test]["benchmark"] for test in worst.values())
    print(f"{len(rows)} problems against {len(tests)} of {len(benchmarks)} benchmarks: {len(worst)} leave")
    same = sum(overlaps[pair].same_answer for pair in worst.items())
    siblings = sum(overlap.sibling for overlap in overlaps.values())
    print(f"{same} of them have the benchmark's answer; {siblings} pairs are siblings: {settings.siblings}")
    print(f"by benchmark: {dict(by_benchmark)}; all {len(overlaps)} overlapping pairs: {report}")


def exact_pairs(texts: list[str], test_texts: list[str]) -> Iterable[tuple[int, int]]:
    tests_of: defaultdict[str, list[int]] = defaultdict(list)
    for test, text in enumerate(test_texts):
        tests_of[canonical(text)].append(test)
    for index, text in enumerate(texts):
        for test in tests_of.get(canonical(text), ()):
            yield index, test


def runs(text: str, length: int) -> set[int]:
    """The n-grams of a text's words, as hashes; none where it has fewer words than `length`."""
    found = words(text)
    return {hash(tuple(found[start : start + length])) for start in range(len(found) - length + 1)}


def shared_runs(
    texts: list[str], test_texts: list[str], length: int, floor: float
) -> Iterable[tuple[tuple[int, int], float]]:
    """Pairs that share runs of `length` words, with the share of the benchmark problem's runs that is shared."""
    tests_with: defaultdict[int, list[int]] = defaultdict(list)
    sizes = []
    for test, text in enumerate(test_texts):
        found = runs(text, length)
        sizes.append(len(found))
        for run in found:
            tests_with[run].append(test)
    for index, text in enumerate(texts):
        hits = Counter(test for run in runs(text, length) for test in tests_with.get(run, ()))
        for test, count in hits.items():
            if count / sizes[test] >= floor:
                yield (index, test), count / sizes[test]


def near_pairs(
    texts: list[str], test_texts: list[str], vectors: "Vectors", test_vectors: "Vectors", settings: Decontaminate
) -> Iterable[tuple[tuple[int, int], float]]:
    floor, most = min(settings.report_from, settings.threshold_same_answer), settings.neighbours
    if settings.same_numbers:
        keys = numeral_keys([*texts, *test_texts])
        return listed(similar_pairs(vectors, test_vectors, floor, most, keys[: len(texts)], keys[len(texts) :]))
    return listed(similar_pairs(vectors, test_vectors, floor, most))


def alike(
    texts: list[str], test_texts: list[str], settings: Decontaminate, wording: Wording
) -> Iterable[tuple[tuple[int, int], float]]:
    pairs = shared_wordings(texts, test_texts, settings.wording, wording)
    if settings.same_numbers:
        keys = numeral_keys([*texts, *test_texts])
        pairs = pairs.where(keys[pairs.rows] == keys[len(texts) :][pairs.columns])
    return listed(pairs)


def listed(pairs: Pairs) -> Iterable[tuple[tuple[int, int], float]]:
    for index, test, score in zip(pairs.rows, pairs.columns, pairs.scores, strict=True):
        yield (int(index), int(test)), float(score)


def compare(
    rows: list[dict[str, Any]],
    tests: list[dict[str, Any]],
    overlaps: dict[tuple[int, int], Overlap],
    settings: Decontaminate,
) -> None:
    """Whether the problems of each pair agree in their answers, numbers and formulas."""
    for (index, test), overlap in overlaps.items():
        one, other = rows[index]["problem"], tests[test]["problem"]
        numbers, signs = sorted(numerals(skeleton(one))), formulas(one)
        overlap.same_numbers = bool(numbers) and numbers == sorted(numerals(skeleton(other)))
        overlap.same_formulas = len(signs) >= settings.fewest_signs and signs == formulas(other)
    asked = [
        ((tests[test]["problem"], tests[test]["answers"]), (rows[index]["problem"], [rows[index]["answer"]]))
        for index, test in overlaps
    ]
    for overlap, same in zip(overlaps.values(), same_answers(asked, settings.grading), strict=True):
        overlap.same_answer = same


def strength(overlap: Overlap) -> tuple[bool, bool, float]:
    """For comparisons; rounded, as the last digits of a similarity depend on the threads that embedded the texts."""
    return overlap.exact, overlap.same_answer, round(max(overlap.shared, overlap.similarity, overlap.wording), DIGITS)


def strongest_of_each(overlaps: dict[tuple[int, int], Overlap]) -> dict[int, int]:
    """Training problem → the benchmark problem that it overlaps with most."""
    worst: dict[int, int] = {}
    for (index, test), overlap in sorted(overlaps.items()):
        if index not in worst or strength(overlap) > strength(overlaps[index, worst[index]]):
            worst[index] = test
    return worst


def as_removed(row: dict[str, Any], test: dict[str, Any], overlap: Overlap, settings: Decontaminate) -> dict[str, Any]:
    ways = overlap.found_by(settings)
    score = 1.0 if overlap.exact else max(overlap.shared, overlap.similarity, overlap.wording)
    other = "" if overlap.same_answer else "; other answer"
    return {
        **row,
        "step": STEP,
        "reason": f"in {test['benchmark']}, found by {' and '.join(ways)}{other}",
        "twin": test["id"],
        "score": round(score, 6),
    }


def report_rows(
    rows: list[dict[str, Any]],
    tests: list[dict[str, Any]],
    overlaps: dict[tuple[int, int], Overlap],
    settings: Decontaminate,
) -> Iterable[dict[str, Any]]:
    """All overlapping pairs, those that count first, then by strength, then in the order of the problems."""
    order = sorted(
        overlaps.items(),
        key=lambda item: (not item[1].found_by(settings), not item[1].exact, -strength(item[1])[-1], item[0]),
    )
    for (index, test), overlap in order:
        ways = overlap.found_by(settings)
        yield {
            "decision": "removed" if ways else "sibling" if overlap.sibling else "reported only",
            "found_by": " and ".join(ways),
            "similarity": f"{overlap.similarity:.{DIGITS}f}" if overlap.similarity else "",
            "shared_runs": f"{overlap.shared:.{DIGITS}f}" if overlap.shared else "",
            "wording": f"{overlap.wording:.{DIGITS}f}" if overlap.wording else "",
            "same_answer": "yes" if overlap.same_answer else "no",
            "same_numbers": "yes" if overlap.same_numbers else "no",
            "id": rows[index]["id"],
            "benchmark_id": tests[test]["id"],
            "answer": rows[index]["answer"],
            "benchmark_answers": " | ".join(tests[test]["answers"]),
            "problem": rows[index]["problem"],
            "benchmark_problem": tests[test]["problem"],
        }
