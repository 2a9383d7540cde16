"""What items between separators make together: a list, a set, one function by cases, one set of numbers."""

from dataclasses import replace
from itertools import product
from math import prod

from deepscaler.reward.strict.parse.conditions import free_symbols, is_bound
from deepscaler.reward.strict.parse.wrapping import MAX_ITEMS
from deepscaler.reward.strict.tree import (
    Answer,
    Collection,
    Combination,
    Conditioned,
    Node,
    Region,
    Relation,
    Scalar,
    Sequence,
    number,
)
from deepscaler.reward.verdicts import Refused

INEQUALITIES = frozenset(("<", ">", "le", "ge", "ne"))


def combined(answers: list[Answer], joins: set[str]) -> Answer:
    """Items between commas, "and" or "or": one set where they are conditions on one unknown, else a list."""
    if len(answers) == 1:
        return answers[0]
    if len(joins) == 1 and are_conditions(answers):
        operator = "cup" if joins == {"or"} else "cap"
        return Combination(tuple(answers), (operator,) * (len(answers) - 1))
    first, *others = answers
    if isinstance(first, Relation) and first.operators == ("ne",) and all(isinstance(a, Scalar) for a in others):
        excluded = [Relation((first.sides[0], value), ("ne",)) for value in others]
        return Combination((first, *excluded), ("cap",) * len(excluded))
    if not joins and are_about_one_unknown(answers):
        return Combination(tuple(answers), ("comma",) * (len(answers) - 1))
    return collect(answers, False)


def are_about_one_unknown(answers: list[Answer]) -> bool:
    r"""Whether conditions between commas bound one symbol, as in `0<x<36, x \ne 9`; the first may be an interval."""
    first, *others = answers
    if not all(map(is_bound, others)):
        return False
    unknowns = set().union(*map(free_symbols, others))
    if isinstance(first, Relation):
        return is_bound(first) and are_conditions(answers) and len(unknowns | free_symbols(first)) == 1
    is_interval = isinstance(first, Combination | Region) or (isinstance(first, Sequence) and len(first.items) == 2)
    return is_interval and len(unknowns) == 1 and all(other.operators == ("ne",) for other in others)  # type: ignore[union-attr]


def as_cases(answers: list[Answer]) -> list[Answer]:
    """Answers that stand under different bounds are the cases of one."""
    if len(answers) < 2:
        return answers
    bounded = [each for each in answers if isinstance(each, Conditioned) and any(map(is_inequality, each.conditions))]
    if len(bounded) < 2 or all(each.conditions == bounded[0].conditions for each in bounded):
        return answers
    return [replace(each, restricts=True) if isinstance(each, Conditioned) else each for each in answers]


def is_inequality(answer: Answer) -> bool:
    return is_bound(answer) and answer.operators != ("in",)  # type: ignore[union-attr]


def are_conditions(answers: list[Answer]) -> bool:
    """Whether all are relations, an inequality among them: `x<0` or `x=1`."""
    operators = [operator for answer in answers if isinstance(answer, Relation) for operator in answer.operators]
    plain = all(isinstance(answer, Relation) for answer in answers) and "approx" not in operators
    return plain and any(operator in INEQUALITIES for operator in operators)


def collect(items: list[Answer], is_set: bool) -> Collection:
    r"""A collection in which inner bare lists, those of ± too, are replaced by their items.

    Raises:
        Refused: there are none, as in `;`.
    """
    if not items:
        raise Refused("a list of nothing")
    spread: list[Answer] = []
    for item in items:
        if isinstance(item, Collection) and not item.is_set:
            spread.extend(item.items)
        else:
            spread.append(item)
    return Collection(tuple(spread), is_set)


def integers_between(condition: Answer) -> Answer:
    """The whole numbers between two bounds, as a set.

    Raises:
        Refused: the condition is another one.
    """
    if isinstance(condition, Relation) and len(condition.sides) == 3 and set(condition.operators) <= {"<", "le"}:
        low, unknown, high = (side.node if isinstance(side, Scalar) else Node("none") for side in condition.sides)
        ends = [whole_number(low), whole_number(high)]
        if unknown.kind == "symbol" and ends[0] is not None and ends[1] is not None:
            first, last = ends[0] + (condition.operators[0] == "<"), ends[1] - (condition.operators[1] == "<")
            if 0 <= last - first < MAX_ITEMS:
                return Collection(tuple(Scalar(number(each)) for each in range(first, last + 1)), True)
    raise Refused("a set of whole numbers")


def whole_number(node: Node) -> int | None:
    if node.kind == "negate" and (value := whole_number(node.parts[0])) is not None:
        return -value
    return int(node.number) if node.kind == "number" and node.number.denominator == 1 else None


def make_sequence(opening: str, closing: str, items: list[Answer], tied: bool = False) -> Answer:
    r"""A tuple; several where items have both signs: every combination, or with ∓ among them (`tied`) one a sign."""
    double = [item.items for item in items if isinstance(item, Collection) and not item.is_set]
    if not double:
        return Sequence(opening, closing, tuple(items))
    choices = [item.items if isinstance(item, Collection) and not item.is_set else (item,) for item in items]
    if tied:
        choices = [each * (max(map(len, double)) // len(each)) for each in choices]
    elif prod(map(len, double)) > MAX_ITEMS:
        raise Refused("too many items")
    several = zip(*choices, strict=False) if tied else product(*choices)
    return Collection(tuple(Sequence(opening, closing, tuple(each)) for each in several))
