"""The opinions as tables: Pass@1 by opinion for every cell, and who differs on what."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from deepscaler import settings
from deepscaler.evaluation.table_rows import rounded
from deepscaler.reporting.opinions.completions import Completion
from deepscaler.reporting.opinions.harnesses import HARNESSES, TITLES
from deepscaler.reward.verdicts import MODES, Verdict
from deepscaler.text import cell, printable

OTHER_FORM = {harness.name for harness in HARNESSES if not harness.boxed}
"""Opinions that read another form of answer: shown, but in no range."""
EXAMPLES = 3
"""Of each way in which the opinions of a cell part."""
LONGEST = 200
"""Characters of a gold or an answer in a table."""


@dataclass(frozen=True)
class Opinions:
    """All opinions on all completions: of each opinion a verdict a completion, in their order."""

    completions: list[Completion]
    verdicts: dict[str, list[Verdict]]

    @property
    def names(self) -> list[str]:
        return [name for name in TITLES if name in self.verdicts]

    def by_cell(self) -> Iterator[tuple[tuple[str, str], list[int]]]:
        """System and benchmark, and where in the lists its completions stand."""
        places = range(len(self.completions))
        for key, group in groupby(places, key=lambda place: self.completions[place].cell):
            yield key, list(group)

    def pass_at_1(self, name: str, places: Sequence[int]) -> float:
        """In percent: the mean over problems of their share of right samples; all problems have as many."""
        return 100 * sum(self.verdicts[name][place].correct for place in places) / len(places)

    def range(self, places: Sequence[int]) -> tuple[float, float]:
        """The lowest and the highest opinion of those that read a box."""
        found = [self.pass_at_1(name, places) for name in self.names if name not in OTHER_FORM]
        return min(found), max(found)


def columns(opinions: Opinions) -> list[str]:
    return ["system", "benchmark", "problems", "samples", *opinions.names, "lowest", "highest", "range"]


def rows(opinions: Opinions) -> Iterator[dict[str, Any]]:
    """A row a cell: Pass@1 in percent by each opinion, and the range of those that read a box."""
    for (system, benchmark), places in opinions.by_cell():
        low, high = opinions.range(places)
        yield {
            "system": system,
            "benchmark": settings.benchmarks()[benchmark].column,
            "problems": len({opinions.completions[place].problem_id for place in places}),
            "samples": len(places),
            **{name: rounded(opinions.pass_at_1(name, places)) for name in opinions.names},
            "lowest": rounded(low),
            "highest": rounded(high),
            "range": rounded(high - low),
        }


DISAGREEMENTS = (
    *("system", "benchmark", "samples", "right_by", "wrong_by", "problem_id", "sample", "gold", "answer", "reasons"),
)


def disagreements(opinions: Opinions) -> Iterator[dict[str, Any]]:
    """Each way in which the opinions of a cell part, the most frequent first, with examples.

    Those that read another form of answer are left out: they part from the others on nearly every answer.
    """
    names = [name for name in opinions.names if name not in OTHER_FORM]
    for (system, benchmark), places in opinions.by_cell():
        ways = {place: tuple(opinions.verdicts[name][place].correct for name in names) for place in places}
        counts = Counter(way for way in ways.values() if len(set(way)) > 1)
        for way, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            sides = {right: [name for name, said in zip(names, way, strict=True) if said == right] for right in (1, 0)}
            for place in [place for place in places if ways[place] == way][:EXAMPLES]:
                row = opinions.completions[place]
                yield {
                    "system": system,
                    "benchmark": settings.benchmarks()[benchmark].column,
                    "samples": count,
                    "right_by": " ".join(sides[1]),
                    "wrong_by": " ".join(sides[0]),
                    "problem_id": row.problem_id,
                    "sample": row.sample,
                    "gold": shown(" | ".join(row.golds)),
                    "answer": shown(row.answer or ""),
                    "reasons": "; ".join(reasons(opinions, place, names)),
                }


def reasons(opinions: Opinions, place: int, names: Sequence[str]) -> Iterator[str]:
    """Of harnesses that gave no verdict of their own: stopped, failed, or not shown the answer."""
    for name in names:
        if name not in MODES and (reason := opinions.verdicts[name][place].reason):
            yield f"{name}: {reason}"


def shown(text: str) -> Any:
    return cell(printable(text[:LONGEST] + ("…" if len(text) > LONGEST else "")))
