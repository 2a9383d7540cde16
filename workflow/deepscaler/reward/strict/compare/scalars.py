"""Whether two expressions are equal: exactly where they are rational, else by values at sample points."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from deepscaler.reward.strict.compare.exact import exact
from deepscaler.reward.strict.compare.functions import NoValue
from deepscaler.reward.strict.compare.logarithms import equal_by_logarithms
from deepscaler.reward.strict.compare.modular import equal_by_remainders
from deepscaler.reward.strict.compare.quantities import in_one_unit
from deepscaler.reward.strict.compare.roots import polynomial
from deepscaler.reward.strict.compare.samples import Traits, samples, traits_of
from deepscaler.reward.strict.compare.values import SIGNIFICANT, Evaluator
from deepscaler.reward.strict.tree import Node, Scalar, symbols, walk

SLACK = 64.0
"""Multiples of the rounding bound that two equal values may differ by."""
CLEAR = 1e-5
"""Relative gap beyond which values with small bounds differ, whatever else."""
ROUNDING = Fraction(10) ** (1 - SIGNIFICANT)
"""The most that a decimal of so many digits is off."""
NEGLIGIBLE = 1e-11
WHOLE_PARAMETERS = frozenset(("k", "n", "m", "l", "K", "N", "M"))
FREE_CONSTANTS = frozenset(("c", "c_1", "c_2", "c_3", "k"))


def equal_scalars(gold: Scalar, answer: Scalar) -> bool:
    """Equality of value: in one unit where both have one; where one has none, as bare numbers.

    Percent and degree signs count as units, so `50%` is 50 as well as 1/2.
    """
    if (pair := in_one_unit(gold, answer)) is None:
        return False
    one, other = pair
    if equal_nodes(one, other):
        return True
    if (respelled := respelling(one, other)) is not None and equal_nodes(*respelled):
        return True
    return any(equal_nodes(*bare) for bare in without_mark(one, other))


def without_mark(gold: Node, answer: Node) -> Iterator[tuple[Node, Node]]:
    """Both sides without a percent or degree sign that only one has, where leaving it out is usual.

    A gold of at most one is no percentage, nor is one with roots or symbols; one that holds π is an angle in radians.
    """
    for mark in ("percent", "degree"):
        if gold.kind == mark != answer.kind:
            yield gold.parts[0], answer
        elif answer.kind == mark != gold.kind:
            if mark == "percent" and ((value := exact(gold)) is None or abs(value) <= 1):
                continue
            if mark == "degree" and any(each.kind == "constant" and each.name == "pi" for each in walk(gold)):
                continue
            yield gold, answer.parts[0]


def respelling(gold: Node, answer: Node) -> tuple[Node, Node] | None:
    """Both with symbols as computer algebra writes them, where the answer has its spelling: I for i, or no capitals.

    Capitals are lost without loss of meaning only among several symbols that stay distinct; a lone R is not r.
    Free constants, as in an integral, may be written either way.
    """
    ours, theirs = symbols(gold), symbols(answer)
    if (names := families(gold, ours, answer, theirs)) is not None:
        return gold, renamed(answer, lambda name: names[0] if name == names[1] else name)
    if "I" in theirs and "I" not in ours:
        return gold, renamed(answer, lambda name: "i" if name == "I" else name)
    missing, added = ours - theirs, theirs - ours
    if missing and {name.lower() for name in missing} == {name.lower() for name in added} <= FREE_CONSTANTS:
        return renamed(gold, str.lower), renamed(answer, str.lower)
    lowered = {name.lower() for name in ours}
    if ours != theirs and theirs == lowered - {"e", "i"} and len(lowered) == len(ours) > 1:
        return renamed(gold, str.lower), answer
    return None


def families(gold: Node, ours: set[str], answer: Node, theirs: set[str]) -> tuple[str, str] | None:
    """The names of the whole number that each side is linear in, as x = π/4 + kπ and π/4 + nπ are."""
    if len(ours) != 1 or len(theirs) != 1 or ours == theirs or not (ours | theirs) <= WHOLE_PARAMETERS:
        return None
    [one], [other] = ours, theirs
    for node, name in ((gold, one), (answer, other)):
        of_angles = any(each.kind == "degree" or each == Node("constant", "pi") for each in walk(node))
        coefficients = polynomial(node, name) if of_angles else None
        if coefficients is None or len(coefficients) != 2:
            return None
    return one, other


def renamed(node: Node, rename: Callable[[str], str]) -> Node:
    if node.kind == "symbol":
        name = rename(node.name)
        return Node("constant", name) if name in ("e", "i") else Node("symbol", name)
    return replace(node, parts=tuple(renamed(part, rename) for part in node.parts)) if node.parts else node


def equal_nodes(one: Node, other: Node) -> bool:
    """Whether two expressions are equal wherever both have a value."""
    first, second = exact(one), exact(other)
    if first is not None and second is not None:
        return first == second or (decimals(one) != decimals(other) and rounds(one, other, first, second))
    if one == other:
        return True
    traits = traits_of(one, other)
    bases = (math.e, 10.0) if traits.bare_log else (math.e,)
    rounded = decimals(one) != decimals(other)
    if traits.names or traits.is_opaque:
        if not any(agree(one, other, traits, base) for base in bases):
            return False
        return rounded or equal_by_remainders(one, other) is not False  # x + 10^-20 agrees with x in floats
    outcomes = [equal_at(one, other, {}, rounded, base) for base in bases]
    if all(outcome is False for outcome in outcomes):
        return False
    same = equal_by_remainders(one, other)
    if same is None and outcomes == [None]:
        return equal_by_logarithms(one, other)
    return True in outcomes if same is None or (rounded and not same) else same


def decimals(node: Node) -> bool:
    """Whether the expression holds a decimal."""
    return bool(node.digits) or any(map(decimals, node.parts))


def rounds(one: Node, other: Node, first: Fraction, second: Fraction) -> bool:
    """Whether a long decimal on one side rounds or cuts off the other side's value."""
    if abs(first - second) > max(abs(first), abs(second)) * ROUNDING:
        return False
    return equal_at(one, other, {}, rounded=True) is True


def equal_at(one: Node, other: Node, point: dict[str, float], rounded: bool, base: float = math.e) -> bool | None:
    """Equality at a point; None where either has no value there."""
    try:
        a, da = Evaluator(point, rounded, base).value(one)
        b, db = Evaluator(point, rounded, base).value(other)
    except NoValue:
        return None
    return within(a, da, b, db, 1.0 if rounded else SLACK)


def within(a: complex, da: float, b: complex, db: float, slack: float) -> bool | None:
    """Whether rounding explains the difference; None where cancellation leaves too little of either value to say."""
    gap, scale = abs(a - b), max(abs(a), abs(b))
    for value, bound in ((a, da), (b, db)):
        if value != 0 and bound * slack <= CLEAR * abs(value) and gap > CLEAR * abs(value):
            return False
    tolerance = SLACK * 2.0**-52 * (abs(a) + abs(b)) + 1.0001 * (da + db) * slack
    if tolerance > max(2 * CLEAR * scale, NEGLIGIBLE):
        return None
    return gap <= tolerance


def agree(one: Node, other: Node, traits: Traits, base: float) -> bool:
    """Equality at every sample point where both have real values, or complex ones where i is about or none is real."""
    rounded = decimals(one) != decimals(other)
    agreed = 0
    beyond_reals: list[bool] = []
    for point, positive in samples(traits, one, other):
        evaluators = (Evaluator(point, rounded, base), Evaluator(point, rounded, base))
        try:
            (a, da), (b, db) = evaluators[0].value(one), evaluators[1].value(other)
        except NoValue:
            continue
        same = within(a, da, b, db, 1.0 if rounded else SLACK)
        if same is None:
            continue
        if traits.has_i:
            real = positive or (is_real(a) and is_real(b))
        else:
            real = not (evaluators[0].left_reals or evaluators[1].left_reals)
        if real and not same:
            return False
        agreed += real
        if not real and positive:
            beyond_reals.append(same)
    if not agreed and not beyond_reals:  # nowhere small enough for floats
        return equal_by_remainders(one, other) is True
    return agreed >= 2 or (all(beyond_reals) and agreed + len(beyond_reals) >= 2)


def is_real(value: complex) -> bool:
    return abs(value.imag) <= 1e-9 * abs(value)
