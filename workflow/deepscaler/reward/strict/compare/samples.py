"""Points at which expressions are compared: a few generic ones, then those where either may bend, jump or end.

A kink is what an expression does at some value of a part: |x-4| bends where x-4 is 0, floor(n/15) jumps where n/15 is
whole, ln(x-3) ends where x-3 is 0. Between two neighbouring kinks, and beyond the last, there is a point of its own.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise
from typing import NamedTuple

from deepscaler.reward.strict.compare.exact import exact
from deepscaler.reward.strict.compare.functions import NoValue
from deepscaler.reward.strict.compare.roots import Function, crossings, polynomial, polynomial_parts, real_roots
from deepscaler.reward.strict.compare.values import Evaluator
from deepscaler.reward.strict.tree import Node, negate, number, symbols, walk

POSITIVE = (0.6180339, 1.3247179, 2.2360679, 0.3819660, 1.7320508, 0.9159655, 2.6854520, 1.2020569)
SIGNS = ((1, 1, 1, 1), (-1, -1, -1, -1), (-1, 1, -1, 1), (1, -1, -1, 1))
COUNTING = frozenset(["n", "k", "m", "j", "N", "K", "M", "p", "q", "r", "s", "t"])
DISCRETE_CALLS = frozenset(("floor", "ceil", "factorial", "factorial2", "binom", "mod", "gcd", "lcm"))
KINKS = frozenset(("abs", "sgn", "max", "min", "floor", "ceil", "mod"))
JUMPS = frozenset(("floor", "ceil", "mod", "gcd", "lcm"))
ENDS = {
    **dict.fromkeys(("abs", "sgn", "sqrt", "root", "cbrt", "ln", "log", "lg"), (0.0,)),
    **dict.fromkeys(("arcsin", "arccos", "arctanh"), (-1.0, 1.0)),
    **{"arccosh": (1.0,), "floor": (0.0, 1.0, 2.0, 7.0, -1.0), "ceil": (0.0, 1.0, 2.0, 7.0, -1.0)},
}
"""What the argument of a function is worth where the function bends, jumps or ends."""
ASIDE = 0.013
FIRST_WHOLE = 3
CONSECUTIVE = 12
MAX_KINKS = 16
MAX_CRITICAL = 14
MAX_SAMPLES = 160
MAX_SAMPLES_OF_SERIES = 40
MAX_WORK = 40_000
"""Nodes to be evaluated in all."""
MAX_NAMES = 2
"""Symbols up to which the ends of roots and logarithms are looked for; those of kinks always are."""
MAX_CONSTANT = 10**7
GRID = sorted(sign * 10 ** (step / 4) for sign in (-1, 1) for step in range(-8, 17))


class Sample(NamedTuple):
    """Values of all symbols; `positive`: all are, so that complex results come from the expression itself."""

    point: dict[str, float]
    positive: bool


@dataclass(slots=True)
class Traits:
    """What decides where expressions are compared.

    `names` of all symbols, and those that stand for whole numbers (`whole`); whether i is about, a log without a base
    (`bare_log`), what has no value without its symbols (`is_opaque`), or what jumps (`has_jumps`); `bends` are parts of
    the expressions, with the values at which what holds them bends, jumps or ends.
    """

    names: list[str]
    whole: list[str]
    bends: list[tuple[Node, tuple[float, ...]]]
    has_i: bool = False
    bare_log: bool = False
    is_opaque: bool = False
    has_jumps: bool = False
    has_kinks: bool = False
    size: int = 0


def traits_of(*nodes: Node) -> Traits:
    """One pass over the expressions."""
    names, bounds = set[str](), set[str]()
    traits = Traits([], [], [])
    discrete = False
    for node in nodes:
        for each in walk(node):
            traits.size += 1
            match each.kind:
                case "symbol":
                    names.add(each.name)
                case "constant":
                    traits.has_i |= each.name == "i"
                case "opaque":
                    traits.is_opaque = True
                case "series":
                    traits.is_opaque = True
                    bounds |= symbols(each.parts[1]) | symbols(each.parts[2])
                case "power":
                    discrete |= add_power(each, traits)
                case "call":
                    discrete |= each.name in DISCRETE_CALLS
                    add_call(each, traits)
    traits.names = sorted(names)
    traits.whole = [
        name for name in traits.names if name in bounds or (discrete and name.partition("_")[0] in COUNTING)
    ]
    return traits


def add_power(node: Node, traits: Traits) -> bool:
    """Note a power that is no whole one; whether it is one of a negative number, which only whole exponents have."""
    base, exponent = node.parts
    if exponent.kind == "number" and exponent.number.denominator == 1:
        return False
    if not symbols(base):
        value = exact(base) if symbols(exponent) else None
        return value is not None and value < 0
    value = exact(exponent)
    if value is None or value.denominator != 1:
        traits.bends.append((base, (0.0,)))
    return False


def add_call(node: Node, traits: Traits) -> None:
    traits.bare_log |= node.name == "log" and len(node.parts) == 1
    traits.has_jumps |= node.name in JUMPS
    traits.has_kinks |= node.name in KINKS
    if node.name in ("max", "min"):
        for one, other in pairwise(node.parts):
            traits.bends.append((Node("add", parts=(one, negate(other))), (0.0,)))
    elif node.name == "mod" and len(node.parts) == 2:
        traits.bends.append((Node("divide", parts=node.parts), ENDS["floor"]))
    elif node.name in ENDS and symbols(node.parts[0]):
        traits.bends.append((node.parts[0], ENDS[node.name]))


def samples(traits: Traits, *nodes: Node) -> Iterator[Sample]:
    """Points for expressions compared with each other, the cheap ones first."""
    limit = MAX_SAMPLES_OF_SERIES if traits.is_opaque else min(MAX_SAMPLES, MAX_WORK // (traits.size + 1))
    yield from islice(whole_samples(traits, nodes) if traits.whole else real_samples(traits, nodes), max(limit, 20))


def real_samples(traits: Traits, nodes: tuple[Node, ...]) -> Iterator[Sample]:
    names = traits.names
    for turn in range(3):
        yield Sample(generic(names, turn), True)
    for turn in range(1, 4):
        values = {
            # a symbol with an index is mostly a given quantity, a radius or a mass, and positive
            name: (1 if "_" in name else SIGNS[turn][index % 4]) * (POSITIVE[(index + turn) % 8] + 0.07 * turn)
            for index, name in enumerate(names)
        }
        yield Sample(values, False)
    if not traits.bends or (len(names) > MAX_NAMES and not traits.has_kinks):
        return
    base = generic(names, 0)
    beyond = largest_constant(nodes) if traits.has_kinks else 0.0
    if beyond and len(names) > 1:
        for sign in (1, -1):
            far = {name: sign * beyond * (1.31 + 0.37 * index) for index, name in enumerate(names)}
            yield Sample({name: abs(x) if "_" in name else x for name, x in far.items()}, sign > 0)
    for name in names:
        critical = critical_values(traits, base, name)
        for value in beside(critical, beyond) if critical else ():
            if value > 0 or "_" not in name:
                yield Sample({**base, name: value}, value > 0)


def generic(names: list[str], turn: int) -> dict[str, float]:
    return {name: POSITIVE[(index * 3 + turn) % 8] + 0.11 * turn + 0.01 * index for index, name in enumerate(names)}


def whole_samples(traits: Traits, nodes: tuple[Node, ...]) -> Iterator[Sample]:
    names, whole = traits.names, traits.whole
    points = []
    for turn in range(9):
        points.append(
            {
                name: float(FIRST_WHOLE + (turn * (index + 1)) % 8 + turn // 3)
                if name in whole
                else POSITIVE[(index + turn) % 8]
                for index, name in enumerate(names)
            }
        )
        yield Sample(points[-1], True)
    if not traits.bends and not traits.has_jumps:
        return
    base = points[1]
    far = 2 * round(largest_constant(nodes))
    yield Sample({name: float(far + 3 * index + 1) for index, name in enumerate(names)}, True)
    for name in names:
        if name not in whole:
            critical = critical_values(traits, base, name)
            for value in beside(critical, largest_constant(nodes)) if critical else []:
                yield Sample({**base, name: value}, value > 0)
            continue
        values = set(range(FIRST_WHOLE, FIRST_WHOLE + CONSECUTIVE))
        for each in (*critical_values(traits, base, name), *whole_constants(nodes)):
            values |= {round(each) + step for step in (-1, 0, 1)} | {round(2 * each) + step for step in (-1, 1)}
        values.add(round(1.7 * max(values)) + 1)
        for value in sorted(value for value in values if value >= 2):
            yield Sample({**base, name: float(value)}, True)


def critical_values(traits: Traits, base: dict[str, float], name: str) -> list[float]:
    """Values of one symbol at which the expressions have a kink, the others as in `base`; ascending."""
    found: set[float] = set()
    for part, targets in traits.bends[:MAX_KINKS]:
        if name in symbols(part):
            found |= roots(with_values(part, base, name), name, targets, traits.has_kinks)
    return sorted(x for x in found if abs(x) < MAX_CONSTANT)[:MAX_CRITICAL]


def roots(part: Node, name: str, targets: tuple[float, ...], search: bool) -> set[float]:
    """Where an expression in one symbol takes one of some values; `search` where no polynomial says so."""
    if (coefficients := polynomial(part, name)) is not None:
        constant, *others = coefficients or (Fraction(0),)
        return {x for target in targets for x in real_roots((constant - Fraction(target), *others))}
    found = {x for each in polynomial_parts(part, name) for x in real_roots(each)}

    def function(x: float) -> float | None:
        return real_value(part, {name: x})

    return (
        found | {x for target in targets[:3] for x in crossings(shifted(function, target), GRID)} if search else found
    )


def with_values(node: Node, values: dict[str, float], free: str = "") -> Node:
    """The expression with numbers for its symbols, but for one that stays free."""
    if node.kind == "symbol" and node.name in values and node.name != free:
        return number(Fraction(values[node.name]).limit_denominator(10**5))
    return replace(node, parts=tuple(with_values(part, values, free) for part in node.parts)) if node.parts else node


def shifted(function: Function, target: float) -> Function:
    return lambda x: None if (value := function(x)) is None else value - target


def real_value(node: Node, point: dict[str, float]) -> float | None:
    try:
        value, _ = Evaluator(point).value(node)
    except NoValue:
        return None
    return value.real if abs(value.imag) <= 1e-9 * (1 + abs(value)) else None


def beside(critical: list[float], beyond: float) -> Iterator[float]:
    """Two points below the critical values, one between any two and two above them.

    Where there are kinks, the values themselves and points just before them, too; the far points are beyond every
    constant.
    """
    yield critical[0] - ASIDE
    for low, high in zip(critical, (*critical[1:], math.inf), strict=True):
        yield low + min(ASIDE, (high - low) / 2)
    yield from (critical[-1] + 1.71 * (beyond or 1), critical[0] - 1.73 * (beyond or 1))
    if beyond:
        yield critical[0]
        for low, high in pairwise(critical):
            yield from (high, high - ASIDE, low + 0.47 * (high - low))


def largest_constant(nodes: tuple[Node, ...]) -> float:
    sizes = [abs(each.number) for node in nodes for each in walk(node) if each.kind == "number"]
    return 1.0 + float(max((each for each in sizes if each < MAX_CONSTANT), default=0))


def whole_constants(nodes: tuple[Node, ...]) -> set[int]:
    """Whole numbers in the expressions, which may be moduli and divisors."""
    found = set[int]()
    for node in nodes:
        for each in walk(node):
            if each.kind in ("number", "power") and not symbols(each):
                value = exact(each)
                if value is not None:
                    found |= {abs(value.numerator), value.denominator}
    return {value for value in found if 1 < value < MAX_CONSTANT}
