"""Sets of real numbers: intervals, unions, inequalities; compared by membership at and between critical points."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from deepscaler.reward.strict.compare.functions import NoValue
from deepscaler.reward.strict.compare.roots import crossings, polynomial, polynomial_parts, real_roots
from deepscaler.reward.strict.compare.samples import ASIDE, GRID, real_value
from deepscaler.reward.strict.compare.values import Evaluator
from deepscaler.reward.strict.tree import (
    Answer,
    Collection,
    Combination,
    Node,
    Region,
    Relation,
    Scalar,
    Sequence,
    negate,
    symbols,
    walk,
)
from deepscaler.reward.strict.units import read_unit

TOLERANCE = 1e-9
MAX_CRITICAL = 60
MAX_SIZE = 300
"""Nodes of an inequality, which is evaluated at several hundred points."""


@dataclass(frozen=True, slots=True)
class RealSet:
    """Membership of a real number, and the numbers where it may change."""

    contains: Callable[[float], bool | None]
    critical: tuple[float, ...]


class NotASet(Exception):
    """The answer does not denote a set of real numbers that we can handle."""


def equal_sets(gold: Answer, answer: Answer) -> bool:
    """Whether two answers denote the same set of reals.

    Raises:
        NotASet: one of them does not denote one.
    """
    one, other = real_set(gold), real_set(answer)
    samples = sample_points(one.critical + other.critical)
    defined = False
    for x in samples:
        inside = one.contains(x)
        also = other.contains(x)
        if inside is None or also is None:
            continue
        if inside != also:
            return False
        defined = True
    return defined


def is_set_like(answer: Answer) -> bool:
    """Whether the answer can only be a set of numbers, not a tuple or a list."""
    match answer:
        case Combination() | Region():
            return True
        case Sequence():
            return {answer.opening, answer.closing} == {"[", ")"} or {answer.opening, answer.closing} == {"(", "]"}
        case Relation():
            return any(operator in ("<", ">", "le", "ge", "ne", "in") for operator in answer.operators)
    return False


def real_set(answer: Answer) -> RealSet:
    """The set of real numbers that an answer denotes.

    Raises:
        NotASet: it denotes none that we can handle.
    """
    match answer:
        case Region(name="reals"):
            return RealSet(lambda x: True, ())
        case Region(name="empty"):
            return RealSet(lambda x: False, ())
        case Sequence(items=(Scalar() as low, Scalar() as high)):
            return interval(answer.opening, answer.closing, low.node, high.node)
        case Collection() | Scalar():
            items = answer.items if isinstance(answer, Collection) else (answer,)
            return points([number_of(item.node) for item in items if isinstance(item, Scalar)], len(items))
        case Combination():
            return combine(answer)
        case Relation():
            return solutions(answer)
    raise NotASet


def number_of(node: Node) -> float:
    """The real value of an expression, infinite ones included.

    Raises:
        NotASet: it has none.
    """
    if node.kind == "negate":
        return -number_of(node.parts[0])
    if node.kind == "constant" and node.name == "infinity":
        return math.inf
    try:
        value, _ = Evaluator({}).value(node)
    except NoValue as error:
        raise NotASet from error
    if abs(value.imag) > TOLERANCE * (1 + abs(value)):
        raise NotASet
    return value.real


def near(a: float, b: float) -> bool:
    return a == b or (math.isfinite(a) and math.isfinite(b) and abs(a - b) <= TOLERANCE * (abs(a) + abs(b) + 1e-3))


def interval(opening: str, closing: str, low_node: Node, high_node: Node) -> RealSet:
    low, high = number_of(low_node), number_of(high_node)
    low_closed, high_closed = opening == "[", closing == "]"

    def contains(x: float) -> bool:
        if near(x, low):
            return low_closed and (low < high or (high_closed and near(low, high)))
        if near(x, high):
            return high_closed and low < high
        return low < x < high

    return RealSet(contains, tuple(end for end in (low, high) if math.isfinite(end)))


def points(values: list[float], expected: int) -> RealSet:
    if len(values) != expected or not all(map(math.isfinite, values)):
        raise NotASet
    return RealSet(lambda x: any(near(x, value) for value in values), tuple(values))


def combine(answer: Combination) -> RealSet:
    total = real_set(answer.parts[0])
    for operator, part in zip(answer.operators, answer.parts[1:], strict=True):
        total = join(operator, total, real_set(part))
    return total


def join(operator: str, one: RealSet, other: RealSet) -> RealSet:
    if operator == "comma":  # `x>0, x<1` are both true; `x<0, x>1` are two parts of the answer
        both = join("cap", one, other)
        return both if any(both.contains(x) for x in sample_points(both.critical)) else join("cup", one, other)

    def contains(x: float) -> bool | None:
        a, b = one.contains(x), other.contains(x)
        if a is None or b is None:
            return None
        return (a or b) if operator == "cup" else (a and b) if operator == "cap" else (a and not b)

    return RealSet(contains, one.critical + other.critical)


def solutions(relation: Relation) -> RealSet:
    if relation.operators == ("in",):
        member = relation.sides[0]
        if not isinstance(member, Scalar) or member.node.kind not in ("symbol", "opaque"):
            raise NotASet
        return real_set(relation.sides[1])
    nodes = [side.node for side in relation.sides if isinstance(side, Scalar) and not makes_another_number(side.unit)]
    if len(nodes) != len(relation.sides) or not set(relation.operators) <= {"<", ">", "le", "ge", "ne", "="}:
        raise NotASet
    nodes = [with_unknown_functions_as_symbols(node) for node in nodes]
    names = set().union(*map(symbols, nodes))
    if len(names) != 1:
        raise NotASet
    [name] = names

    def contains(x: float) -> bool | None:
        try:
            values = [complex_value(node, {name: x}) for node in nodes]
        except NoValue as problem:
            return None if problem.out_of_range else False
        if any(value.imag and abs(value.imag) > TOLERANCE * (1 + abs(value)) for value in values):
            return False  # nothing holds where a side has no real value
        return all(
            holds(a.real, operator, b.real)
            for a, operator, b in zip(values, relation.operators, values[1:], strict=False)
        )

    return RealSet(contains, tuple(boundaries(nodes, name)))


def makes_another_number(unit: str) -> bool:
    """Whether a unit is a number, as a dozen is, or words that are no unit."""
    return bool(unit) and ((known := read_unit(unit)) is None or not known.dimensions)


def complex_value(node: Node, point: dict[str, float]) -> complex:
    bare = node.parts[0] if node.kind == "negate" else node
    if bare.kind == "constant" and bare.name == "infinity":
        return complex(math.inf if bare is node else -math.inf)
    return Evaluator(point).value(node)[0]


def with_unknown_functions_as_symbols(node: Node) -> Node:
    """`0 < f(x) < 1` is about the number f(x), as if that were a symbol."""
    if node.kind == "opaque":
        return Node("symbol", "f")
    return Node(
        node.kind, node.name, tuple(map(with_unknown_functions_as_symbols, node.parts)), node.number, node.digits
    )


def holds(a: float, operator: str, b: float) -> bool:
    if near(a, b):
        return operator in ("le", "ge", "=")
    return {"<": a < b, "le": a < b, ">": a > b, "ge": a > b, "ne": True, "=": False}[operator]


def boundaries(sides: list[Node], name: str) -> list[float]:
    """Where a chain of relations in one symbol may change its truth.

    Roots of what is polynomial, be it a part, such as what stands between bars; elsewhere changes of sign between
    constants and on a grid.
    """
    if sum(1 for part in sides for _ in walk(part)) > MAX_SIZE:
        raise NotASet
    found = {value for part in sides for each in walk(part) for value in constants(each)}
    for one, other in pairwise(sides):
        difference = Node("add", parts=(one, negate(other)))
        whole = polynomial(difference, name)
        if whole is not None:
            found |= set(real_roots(whole))
            continue
        for part in polynomial_parts(difference, name):
            found |= set(real_roots(part))

        def function(x: float, node: Node = difference) -> float | None:
            return real_value(node, {name: x})

        grid = sorted({*GRID, *(x for end in found for x in (end, end + ASIDE, end - ASIDE)), *range(-12, 13)})
        found |= set(crossings(function, grid))
    return sorted(found)[:MAX_CRITICAL]


def constants(node: Node) -> set[float]:
    """A number's value, its negative and their roots: where simple inequalities change."""
    if node.kind not in ("number", "constant", "divide", "call", "power") or symbols(node):
        return set()
    try:
        value = number_of(node)
    except NotASet:
        return set()
    return {value, -value, math.sqrt(abs(value)), -math.sqrt(abs(value))} if math.isfinite(value) else set()


def sample_points(critical: tuple[float, ...]) -> list[float]:
    """The critical points, points beside and between them, and a coarse grid."""
    if len(critical) > 4 * MAX_CRITICAL:
        raise NotASet
    ordered: list[float] = []
    for value in sorted(set(critical)) or [0.0]:
        if not ordered or not near(ordered[-1], value):
            ordered.append(value)
    samples = list(ordered)
    for low, high in pairwise(ordered):
        samples += [(low + high) / 2, low + (high - low) * 0.013, high - (high - low) * 0.017]
    span = max(1.0, ordered[-1] - ordered[0])
    for distance in (0.0137, 0.71, 3.3, 97.7):
        samples += [ordered[0] - distance * span, ordered[-1] + distance * span]
    return samples + [integer + 0.317 for integer in range(-12, 12)]
