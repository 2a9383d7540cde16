"""How many claims are met, counted apart by what a verdict on them says: for the report, and on the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepscaler.reporting.claims.chances import Chances, together
from deepscaler.reporting.claims.results import Row, number

GROUPS = {
    "measured": "measured",
    "arithmetic": "by the paper's arithmetic",
    "by construction": "by construction",
    "illustrative": "illustrations, which count for nothing",
}
"""A claim's kind → what its verdicts are called where they are counted."""
NOT_YET = "not yet"
"""The verdict of a claim in a report of a run that goes on."""
NO_VERDICT = (NOT_YET, "not run", "not measurable")


@dataclass(frozen=True)
class Count:
    """Of the claims of one kind that have a verdict."""

    what: str
    met: int
    outside: int

    def __str__(self) -> str:
        return f"{self.what}: {self.met} met, {self.outside} outside"


def counts(rows: Sequence[Row]) -> list[Count]:
    """Of rows of claims.csv; a kind without any verdict is left out."""
    found = []
    for kind, what in GROUPS.items():
        verdicts = [row["verdict"] for row in rows if row["kind"] == kind]
        if {"met", "outside"} & set(verdicts):
            found.append(Count(what, verdicts.count("met"), verdicts.count("outside")))
    return found


def without_verdict(rows: Sequence[Row]) -> dict[str, int]:
    return {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in NO_VERDICT}


def summary(rows: Sequence[Row]) -> str:
    """One line of all counts."""
    parts = [str(count) for count in counts(rows)]
    parts += [f"{count} {verdict}" for verdict, count in without_verdict(rows).items() if count]
    return "; ".join(parts)


def by_chance(rows: Sequence[Row]) -> str | None:
    """How much of the count of measured claims is chance, in a sentence; None where none has a verdict."""
    judged = [row for row in rows if row["kind"] == "measured" and row["verdict"] in ("met", "outside")]
    if not judged:
        return None
    sums = together(
        Chances(honest_fails=number(row, "honest_fails", "claims.csv"), null_met=number(row, "null_met", "claims.csv"))
        for row in judged
    )
    return (
        f"Of the {sums.claims} measured claims, chance alone would put {sums.honest_outside:.1f} outside in an honest "
        f"re-run, and would meet {sums.false_met:.1f} of the {sums.with_null} that rule something out if that were true"
    )
