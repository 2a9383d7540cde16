"""Whether answers that hold under conditions mean the same."""

from collections.abc import Callable

from deepscaler.reward.strict.text import phrases
from deepscaler.reward.strict.tree import Answer, Collection, Conditioned, Relation, Scalar, Words, symbols

Equal = Callable[[Answer, Answer], bool]
OTHERWISE = Words("otherwise")
BOUNDS = frozenset(("<", ">", "le", "ge", "ne"))


def equal_conditioned(gold: Answer, answer: Answer, equal: Equal) -> bool:
    """Whether two answers, at least one of them under conditions, mean the same.

    A domain may be left out on either side, and words of the gold's that change nothing by the answer; bounds on the
    same symbol must agree.
    """
    ours, theirs = (side if isinstance(side, Conditioned) else Conditioned(side, (), False) for side in (gold, answer))
    if isinstance(gold, Conditioned) and isinstance(answer, Conditioned):
        agree = same_conditions(ours, theirs, equal)
    elif isinstance(gold, Conditioned):
        agree = not gold.restricts or all(map(may_be_left_out, gold.conditions))
    else:
        agree = not theirs.restricts
    return agree and equal(ours.value, theirs.value)


def may_be_left_out(condition: Answer) -> bool:
    """Whether words behind the gold, such as a unit that is not known, change nothing about its value."""
    return (
        isinstance(condition, Words) and condition.text.startswith("_ ") and phrases.behind(condition.text) != "changes"
    )


def same_conditions(gold: Conditioned, answer: Conditioned, equal: Equal) -> bool:
    if gold.restricts or answer.restricts:
        return paired_off(gold.conditions, answer.conditions, equal) == ((), ())
    pairs = ((one, other) for one in gold.conditions for other in answer.conditions)
    return all(
        equal(one, other) for one, other in pairs if bound_symbols(one) and bound_symbols(one) == bound_symbols(other)
    )


def bound_symbols(condition: Answer) -> frozenset[str]:
    """The symbols that an inequality bounds; none for any other condition."""
    if not isinstance(condition, Relation) or not BOUNDS.issuperset(condition.operators):
        return frozenset()
    return frozenset().union(*(symbols(side.node) for side in condition.sides if isinstance(side, Scalar)))


def paired_off(
    ours: tuple[Answer, ...], theirs: tuple[Answer, ...], equal: Equal
) -> tuple[tuple[Answer, ...], tuple[Answer, ...]]:
    """What remains of two lists of conditions when equal ones are taken away."""
    left, right = [], list(theirs)
    for one in ours:
        match = next((other for other in right if equal_condition(one, other, equal)), None)
        if match is None:
            left.append(one)
        else:
            right.remove(match)
    return tuple(left), tuple(right)


def equal_condition(one: Answer, other: Answer, equal: Equal) -> bool:
    """The same condition; in words, the symbol that they are about may be left out (`n odd`, `odd`)."""
    if isinstance(one, Words) and isinstance(other, Words):
        (subject, _, said), (their_subject, _, theirs) = one.text.partition("|"), other.text.partition("|")
        return said == theirs and (subject == their_subject or not subject.strip() or not their_subject.strip())
    return equal(one, other)


def equal_cases(gold: Collection, answer: Collection, equal: Equal) -> bool | None:
    """Whether two functions by cases are one, in any order; None where they are no such functions.

    `otherwise` stands for the one case that the other side has left.
    """
    if not all(isinstance(item, Conditioned) and item.restricts for item in (*gold.items, *answer.items)):
        return None
    if len(gold.items) != len(answer.items):
        return False
    left, right = [], list(answer.items)
    for one in gold.items:
        match = next((other for other in right if equal(one, other)), None)
        if match is None:
            left.append(one)
        else:
            right.remove(match)
    if len(left) == 1 and (is_otherwise(left[0]) or is_otherwise(right[0])):
        return equal(value_of(left[0]), value_of(right[0]))
    return not left


def is_otherwise(case: Answer) -> bool:
    return isinstance(case, Conditioned) and case.conditions == (OTHERWISE,)


def value_of(case: Answer) -> Answer:
    return case.value if isinstance(case, Conditioned) else case
