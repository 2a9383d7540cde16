"""What a claim is about, as means over a fixed set of problems: which systems' answers count, and for how much.

Verified can be what is a mean of bounded values, or a quotient of two: Pass@1, gains and order of systems, at a length
limit too; mean lengths, of all answers or of those that are right or wrong; the share that is cut off. All else is
refused by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from deepscaler import dag, settings
from deepscaler.errors import UserError
from deepscaler.evaluation.requests import protocol_of
from deepscaler.reporting.claims.errors_of_runs import stated_cell
from deepscaler.reporting.claims.from_samples import benchmarks_of
from deepscaler.settings.claims import Claim, Measure, Significance, TableCell, TokenCell, holds_at
from deepscaler.settings.models import Reported

Answer = Mapping[str, Any]
"""A graded answer: `right`, `tokens` and `finish_reason`."""


@dataclass(frozen=True)
class Term:
    """A mean over all of a system's answers of what each counts, times a factor."""

    system: str
    value: Callable[[Answer], float]
    most: float
    """What an answer counts at most; the least is 0."""
    factor: float = 1.0


@dataclass(frozen=True)
class Quantity:
    """The sum of `terms` and a constant, over the sum of `divisors` where there are such."""

    column: str
    benchmarks: tuple[str, ...]
    terms: tuple[Term, ...]
    constant: float
    """What the paper quotes of systems that nobody samples here."""
    divisors: tuple[Term, ...] = ()

    @property
    def systems(self) -> list[str]:
        return list(dict.fromkeys(term.system for term in (*self.terms, *self.divisors)))

    def range_of(self, terms: tuple[Term, ...]) -> tuple[float, float]:
        """The least and the largest that the sum of some terms can be."""
        ends = [term.factor * term.most for term in terms]
        return sum(min(0.0, end) for end in ends), sum(max(0.0, end) for end in ends)


def bounds(claim: Claim) -> tuple[float, float]:
    """The least and the largest value that meets a claim. Standard errors that it counts in are the interval's part."""
    low = claim.expected - claim.tolerance if claim.comparison != "at_most" else -inf
    high = claim.expected + claim.tolerance if claim.comparison != "at_least" else inf
    return low, high


def quantity_of(claim: Claim, scale: str) -> Quantity:
    """What a claim is about at a scale, or a UserError that says why sampling does not decide it, and what would."""
    measure = claim.measure
    if not holds_at(claim, scale):
        raise not_verified(claim, scale, f"it is checked at scale {' or '.join(claim.scales) or 'none'}")
    if isinstance(measure, Significance):
        raise not_verified(claim, scale, "a p-value over other problems is no mean of answers to these")
    if not isinstance(measure, TableCell | TokenCell):
        raise not_verified(claim, scale, "it is not about sampled answers")
    terms, constant = terms_of(measure, scale)
    divisors: tuple[Term, ...] = ()
    if isinstance(measure, TokenCell) and measure.answers in ("right", "wrong"):
        divisors = (counted(measure, scale),)
    if measure.minus is not None:
        others, quoted = other_terms(claim, measure, measure.minus, scale)
        terms += tuple(Term(one.system, one.value, one.most, -one.factor) for one in others)
        constant -= quoted
    if measure.over is not None:
        over, quoted = other_terms(claim, measure, measure.over, scale)
        if divisors or quoted:
            raise not_verified(claim, scale, "a quotient of quotients is no mean of answers")
        divisors = over
    if divisors and (constant or (measure.over is None and measure.column == "average")):
        raise not_verified(claim, scale, "a mean of quotients is no quotient of means")
    found = Quantity(measure.column, tuple(benchmarks_of(scale, measure.column)), terms, constant, divisors)
    if unknown := [name for name in found.systems if name not in dag.evaluated(scale)]:
        raise not_verified(claim, scale, f"{unknown[0]} is not sampled at this scale")
    return found


def not_verified(claim: Claim, scale: str, why: str) -> UserError:
    hint = f"check it with `snakemake results/{scale}/claims.csv`" if holds_at(claim, scale) else None
    return UserError(f"claim {claim.id!r} can't be verified by sampling: {why}", None, hint)


def other_terms(
    claim: Claim, measure: TableCell | TokenCell, other: Measure, scale: str
) -> tuple[tuple[Term, ...], float]:
    """The terms of what is subtracted or divided by: means over the same problems."""
    if (
        not isinstance(other, TableCell | TokenCell)
        or other.column != measure.column
        or other.minus
        or other.over
        or (isinstance(other, TokenCell) and other.answers in ("right", "wrong"))
    ):
        raise not_verified(claim, scale, "its parts are not means over all answers to the same problems")
    return terms_of(other, scale)


def terms_of(measure: TableCell | TokenCell, scale: str) -> tuple[tuple[Term, ...], float]:
    """The terms of a cell alone, and the constant, where the paper quotes a system."""
    if isinstance(measure, TokenCell):
        return (length_term(measure, scale),), 0.0
    terms, constant = pass_at_1(measure, measure.system)
    if measure.against is not None:
        theirs, quoted = pass_at_1(measure, measure.against)
        terms += tuple(Term(one.system, one.value, one.most, -one.factor) for one in theirs)
        constant -= quoted
    return terms, constant


def pass_at_1(measure: TableCell, system: str) -> tuple[tuple[Term, ...], float]:
    """In percent; a reported system has the number that is reported."""
    if isinstance(settings.systems()[system], Reported):
        quoted = stated_cell(system, measure.column)
        if quoted is None:
            raise UserError(f"no number of {system} is reported for {measure.column}", "config/models.yaml")
        return (), quoted
    limit = inf if measure.limit is None else measure.limit
    return (Term(system, lambda row: 100.0 * (row["right"] and row["tokens"] <= limit), 100.0),), 0.0


def length_term(measure: TokenCell, scale: str) -> Term:
    """Tokens of the answers that count, or 100 for each that is cut off; a limit cuts all."""
    limit = longest(measure, scale)
    if measure.answers == "truncated":
        if measure.limit is not None:
            return Term(measure.system, lambda row: 100.0 * (row["tokens"] > limit), 100.0)
        return Term(measure.system, lambda row: 100.0 * (row["finish_reason"] == "length"), 100.0)
    counts = counts_in(measure, limit)
    return Term(measure.system, lambda row: counts(row) * min(float(row["tokens"]), limit), limit)


def counted(measure: TokenCell, scale: str) -> Term:
    """The share of answers whose mean length is meant."""
    return Term(measure.system, counts_in(measure, longest(measure, scale)), 1.0)


def counts_in(measure: TokenCell, limit: float) -> Callable[[Answer], float]:
    """1 for an answer that counts, else 0."""
    if measure.answers == "all":
        return lambda row: 1.0
    wanted = measure.answers == "right"
    return lambda row: float((bool(row["right"]) and row["tokens"] <= limit) == wanted)


def longest(measure: TokenCell, scale: str) -> float:
    """The tokens that an answer has at most."""
    most = protocol_of(scale, measure.system).max_new_tokens
    return float(most if measure.limit is None else min(most, measure.limit))
