"""A claim under verification: its problems, what the answers so far say of it, and how many it needs next."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from deepscaler.evaluation.confidence_sequence import Array
from deepscaler.evaluation.requests import read_problems
from deepscaler.evaluation.sequential_design import rounds_to_decide
from deepscaler.reporting.verdicts.answers import Answers, benchmark_path
from deepscaler.reporting.verdicts.evidence import Evidence
from deepscaler.reporting.verdicts.quantity import Quantity, Term, bounds, quantity_of
from deepscaler.settings.claims import Claim, Verification


@dataclass(frozen=True)
class Inquiry:
    """The problems are fixed; every benchmark counts the same, and every problem within it."""

    claim: Claim
    quantity: Quantity
    problems: list[str]
    """Their ids, benchmark after benchmark."""
    weights: Array
    error: float
    """The chance that its verdict is wrong."""

    def evidence(self, answers: Mapping[str, Answers]) -> Evidence | None:
        """What all whole rounds say; None where there is none."""
        rounds = min(answers[system].rounds(self.problems) for system in self.quantity.systems)
        if not rounds:
            return None

        def values(terms: tuple[Term, ...]) -> Array:
            total = np.zeros((rounds, len(self.problems)))
            for term in terms:
                found = answers[term.system].found
                total += term.factor * np.array(
                    [[term.value(found[problem, number]) for problem in self.problems] for number in range(rounds)]
                )
            return total

        quantity = self.quantity
        numerator = values(quantity.terms) + quantity.constant
        denominator = values(quantity.divisors) if quantity.divisors else None
        return Evidence(self.claim, quantity, numerator, denominator, self.weights, self.error)

    def needed(self, evidence: Evidence | None, most: int) -> int | None:
        """Rounds that would decide the claim if its value is what is estimated; None if more, or nothing is known."""
        if evidence is None or not np.isfinite(evidence.estimate):
            return None
        return rounds_to_decide(evidence.design(), evidence.estimate, most)

    def next_rounds(self, evidence: Evidence | None, limits: Verification) -> int:
        """How many rounds to have after the next batch: what is needed, but no more than twice as many as there are."""
        if evidence is None:
            return min(limits.batch, limits.samples)
        needed = self.needed(evidence, limits.samples) or limits.samples
        further = min(max(needed - evidence.rounds, limits.batch), max(evidence.rounds, limits.batch))
        return min(evidence.rounds + further, limits.samples)

    def record(self, scale: str, evidence: Evidence | None) -> dict[str, Any]:
        """All that is known, as JSON."""
        low, high = bounds(self.claim)
        verdict, after = evidence.verdict() if evidence else ("not decided", 0)
        lower, upper = evidence.interval() if evidence else (-inf, inf)
        return {
            "claim": self.claim.id,
            "statement": self.claim.statement,
            "scale": scale,
            "met_from": finite(low),
            "met_to": finite(high),
            "unit": self.claim.unit,
            "error": self.error,
            "systems": self.quantity.systems,
            "benchmarks": list(self.quantity.benchmarks),
            "samples": evidence.rounds if evidence else 0,
            "estimate": finite(evidence.estimate) if evidence else None,
            "interval": [finite(lower), finite(upper)],
            "verdict": verdict,
            "decided_after": after if verdict != "not decided" else None,
        }


def inquiry_of(claim: Claim, scale: str, error: float) -> Inquiry:
    """Refuses what sampling does not decide."""
    quantity = quantity_of(claim, scale)
    sets = [read_problems([benchmark_path(scale, name)]) for name in quantity.benchmarks]
    problems = [row["id"] for rows in sets for row in rows]
    weights = np.concatenate([np.full(len(rows), 1 / len(rows) / len(sets)) for rows in sets])
    return Inquiry(claim, quantity, problems, weights, error)


def finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if np.isfinite(value) else None
