"""Whether two answers mean the same where one is a relation: an assignment, an equation or an inequality.

What stands on the sides are answers in turn, so `equal` of `compare` comes in as an argument.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from deepscaler.reward.strict.compare.derivatives import primed
from deepscaler.reward.strict.compare.functions import NoValue
from deepscaler.reward.strict.compare.names import (
    assigned_name,
    is_name,
    value_of,
    value_of_expression,
    without_approximation,
)
from deepscaler.reward.strict.compare.samples import samples, traits_of, with_values
from deepscaler.reward.strict.compare.scalars import renamed
from deepscaler.reward.strict.compare.sets import NotASet, equal_sets
from deepscaler.reward.strict.compare.values import Evaluator
from deepscaler.reward.strict.tree import (
    Answer,
    Node,
    Relation,
    Scalar,
    negate,
    symbols,
)
from deepscaler.reward.strict.units import read_unit

Equal = Callable[[Answer, Answer], bool]

UNKNOWNS = frozenset(("x", "y", "z"))
INEQUALITIES = frozenset(("<", ">", "le", "ge", "ne"))


def equal_with_relation(gold: Answer, answer: Answer, equal: Equal) -> bool:
    """Whether two answers, at least one of them a relation, mean the same."""
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        return equal_relations(gold, answer, equal)
    relation, other = (gold, answer) if isinstance(gold, Relation) else (answer, gold)
    assert isinstance(relation, Relation)
    if is_inequality(relation) or relation.operators == ("in",):
        try:
            return equal_sets(gold, answer)
        except NotASet:
            pass
        return relation.operators == ("in",) and is_name(relation.sides[0]) and equal(relation.sides[1], other)
    value = value_of(relation)
    if value is None and relation is answer and isinstance(gold, Scalar) and not symbols(gold.node):
        value = value_of_expression(relation)
    return value is not None and (equal(gold, value) if relation is answer else equal(value, answer))


def is_inequality(relation: Relation) -> bool:
    return any(operator in INEQUALITIES for operator in relation.operators)


def equal_relations(gold: Relation, answer: Relation, equal: Equal) -> bool:
    gold, answer = without_approximation(gold), without_approximation(answer)
    if gold.operators == answer.operators and all(map(equal, gold.sides, answer.sides)):
        return True
    if is_inequality(gold) or is_inequality(answer) or "in" in gold.operators + answer.operators:
        return equal_inequalities(gold, answer)
    one, other = assigned_name(gold), assigned_name(answer)
    if one is not None and other is not None and names_agree(gold, one, answer, other):
        respelled = with_arguments_of(gold, answer)
        ours, theirs = value_of(gold), value_of(respelled) if respelled else None
        if ours is not None and theirs is not None and equal(ours, theirs):
            return True
    return equal_equations(gold, answer)


def names_agree(gold: Relation, one: str, answer: Relation, other: str) -> bool:
    """The same name, or y and f(x) for the same function; what a function is taken of counts."""
    if one == other:
        return True
    ours, theirs = arguments(gold), arguments(answer)
    if ours is not None and theirs is not None and not (are_variables(ours) and are_variables(theirs)):
        return False
    names = {name_before_arguments(gold).lower(), name_before_arguments(answer).lower()}
    if len(names) == 1:
        return names != {""}
    return "y" in names and is_dependent(gold) and is_dependent(answer)


def arguments(relation: Relation) -> tuple[Node, ...] | None:
    """What the function on the left is taken of; None where the left side is no function's value."""
    left = relation.sides[0]
    is_function = isinstance(left, Scalar) and left.node.kind == "opaque" and left.node.name != "derivative"
    return left.node.parts if is_function and isinstance(left, Scalar) else None


def are_variables(nodes: tuple[Node, ...]) -> bool:
    names = {node.name for node in nodes if node.kind == "symbol"}
    return len(names) == len(nodes)


def with_arguments_of(gold: Relation, answer: Relation) -> Relation | None:
    """`f(t) = 2t` as `f(x) = 2x`, where the gold's function is taken of x; None where the answer has another x."""
    ours, theirs = arguments(gold), arguments(answer)
    if not ours or not theirs or len(ours) != len(theirs) or not (are_variables(ours) and are_variables(theirs)):
        return answer
    names = {their.name: our.name for our, their in zip(ours, theirs, strict=True)}
    free = set().union(*(symbols(side.node) for side in answer.sides if isinstance(side, Scalar)))
    if names == {name: name for name in names}:
        return answer
    if free & (set(names.values()) - set(names)):
        return None
    sides = (
        replace(side, node=renamed(side.node, lambda name: names.get(name, name))) if isinstance(side, Scalar) else side
        for side in answer.sides
    )
    return Relation(tuple(sides), answer.operators)


def name_before_arguments(relation: Relation) -> str:
    """The x of x and of x(t)."""
    left = relation.sides[0]
    if isinstance(left, Scalar) and left.node.kind in ("symbol", "opaque") and left.node.name != "derivative":
        return left.node.name
    return ""


def is_dependent(relation: Relation) -> bool:
    """Whether the left side is a function's value or y, and the right side depends on something."""
    left, right = relation.sides[0], relation.sides[-1]
    if not isinstance(left, Scalar) or not isinstance(right, Scalar) or not symbols(right.node):
        return False
    of = arguments(relation)
    return left.node == Node("symbol", "y") if of is None else are_variables(of)


def difference_of(one: Answer, other: Answer) -> Node | None:
    """Left side minus right side; None where they are no expressions, or a unit makes other numbers of them."""
    if not isinstance(one, Scalar) or not isinstance(other, Scalar):
        return None
    for unit in filter(None, (one.unit, other.unit)):
        if (known := read_unit(unit)) is None or not known.dimensions:
            return None
    return Node("add", parts=(one.node, negate(other.node)))


def equal_equations(gold: Relation, answer: Relation) -> bool:
    """Equations of two sides whose differences are proportional."""
    if gold.operators != ("=",) or answer.operators != ("=",):
        return False
    one, other = difference_of(*gold.sides), difference_of(*answer.sides)
    if one is None or other is None:
        return False
    if constant_ratio(one, other) is not None:
        return True
    if are_proportional_in_unknowns(one, other):
        return True
    derived = primed(one, other)
    return derived is not None and (constant_ratio(*derived) is not None or are_proportional_in_unknowns(*derived))


def are_proportional_in_unknowns(one: Node, other: Node) -> bool:
    """Whether the two are proportional for any values of the parameters: `ax+by=c` and `x+by/a=c/a`.

    Parameters are all symbols but x, y, z and what is derived.
    """
    names = symbols(one) | symbols(other)
    derived = {name.rstrip("'") for name in names if "'" in name}
    unknowns = {name for name in names if name in UNKNOWNS or name.rstrip("'") in derived}
    if not unknowns or len(unknowns) == len(names):
        return False
    for first in (0.7390851, 1.4513692):
        values = {name: first + 0.31 * index for index, name in enumerate(sorted(names)) if name not in unknowns}
        if constant_ratio(with_values(one, values), with_values(other, values)) is None:
            return False
    return True


def constant_ratio(one: Node, other: Node) -> float | None:
    """The constant c with one = c * other everywhere, or None."""
    names = symbols(one)
    if not names or names != symbols(other):
        return None
    ratios: list[complex] = []
    for point, positive in samples(traits_of(one, other), one, other):
        evaluators = (Evaluator(point), Evaluator(point))
        try:
            (a, da), (b, db) = evaluators[0].value(one), evaluators[1].value(other)
        except NoValue:
            continue
        if (evaluators[0].left_reals or evaluators[1].left_reals) and not positive:
            continue
        if is_zero(a, da) or is_zero(b, db):
            if is_zero(a, da) != is_zero(b, db):
                return None
            continue
        ratios.append(a / b)
        if abs(ratios[-1] - ratios[0]) > 1e-9 * abs(ratios[0]) + 4 * (da / abs(a) + db / abs(b)) * abs(ratios[0]):
            return None
    if len(ratios) < 3:
        return None
    return ratios[0].real if abs(ratios[0].imag) < 1e-9 * abs(ratios[0]) else None


def is_zero(value: complex, error: float) -> bool:
    return abs(value) <= 64 * error


def equal_inequalities(gold: Relation, answer: Relation) -> bool:
    if not same_units(gold, answer):
        return False
    try:
        return equal_sets(gold, answer) and same_unknown(gold, answer)
    except NotASet:
        pass
    ours, theirs = links_of(gold), links_of(answer)
    if ours is None or theirs is None or len(ours) != len(theirs):
        return False
    for strict, one in ours:
        match = next((link for link in theirs if link[0] == strict and has_positive_ratio(one, link[1], strict)), None)
        if match is None:
            return False
        theirs.remove(match)
    return True


def same_units(gold: Relation, answer: Relation) -> bool:
    """Whether the bounds are in one unit, or one side has none."""
    one, other = ({side.unit for side in r.sides if isinstance(side, Scalar)} - {""} for r in (gold, answer))
    return not one or not other or one == other


def same_unknown(gold: Relation, answer: Relation) -> bool:
    """Whether both are about the same symbol; a membership's right side has none."""
    one, other = (set().union(*(symbols(s.node) for s in r.sides if isinstance(s, Scalar))) for r in (gold, answer))
    return one == other or "in" in gold.operators + answer.operators


def links_of(relation: Relation) -> list[tuple[str, Node]] | None:
    """`a < b <= c` as (strict, b - a), (weak, c - b): each expression is positive, or not negative, or not zero."""
    links = []
    for one, operator, other in zip(relation.sides, relation.operators, relation.sides[1:], strict=False):
        difference = difference_of(other, one) if operator in ("<", "le", "ne") else difference_of(one, other)
        if difference is None or operator not in INEQUALITIES:
            return None
        links.append(({"<": "strict", ">": "strict", "ne": "unequal"}.get(operator, "weak"), difference))
    return links


def has_positive_ratio(one: Node, other: Node, kind: str) -> bool:
    factor = constant_ratio(one, other)
    return factor is not None and (factor > 0 or kind == "unequal") and math.isfinite(factor)
