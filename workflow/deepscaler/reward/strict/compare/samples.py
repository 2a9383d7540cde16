"""Points at which expressions are compared: a few generic ones, then those where either may bend, jump or end.

A kink is what an expression does at some value of a part: |x-4| bends where x-4 is 0, floor(n/15) jumps where n/15 is
whole, ln(x-3) ends where x-3 is 0. Between two neighbouring kinks, and beyond the last, there is a point of its own.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from deepscaler.reward.strict.compare.exact import exact
from deepscaler.reward.strict.compare.functions import NoValue
from deepscaler.reward.strict.compare.roots import Function, crossings, linear_root
from deepscaler.reward.strict.compare.values import Evaluator
from deepscaler.reward.strict.tree import Node, negate, symbols, walk

POSITIVE = (0.6180339, 1.3247179, 2.2360679, 0.3819660, 1.7320508, 0.9159655, 2.6854520, 1.2020569)
SIGNS = ((1, 1, 1, 1), (-1, -1, -1, -1), (-1, 1, -1, 1), (1, -1, -1, 1))
COUNTING = frozenset(["n", "k", "m", "j", "N", "K", "M", "p", "q", "r", "s", "t"])
DISCRETE_CALLS = frozenset(("floor", "ceil", "factorial", "factorial2", "binom", "mod", "gcd", "lcm"))
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
MAX_CONSTANT = 10**7
GRID = sorted(sign * 10 ** (step / 4) for sign in (-1, 1) for step in range(-8, 17))


class Sample(NamedTuple):
    """Values of all symbols; `positive`: all are, so that complex results come from the expression itself."""

    point: dict[str, float]
    positive: bool


def samples(*nodes: Node) -> Iterator[Sample]:
    """Points for expressions compared with each other, the cheap ones first."""
    names = sorted(set().union(*map(symbols, nodes)))
    whole = whole_names(nodes, names)
    yield from whole_samples(nodes, names, whole) if whole else real_samples(nodes, names)


def whole_names(nodes: tuple[Node, ...], names: list[str]) -> list[str]:
    """Symbols that stand for whole numbers: bounds of series, and usual names for counts beside floors and the like."""
    bounds = set[str]()
    for node in nodes:
        for each in walk(node):
            if each.kind == "series":
                bounds |= symbols(each.parts[1]) | symbols(each.parts[2])
    discrete = any(map(is_discrete, nodes))
    return [name for name in names if name in bounds or (discrete and name.partition("_")[0] in COUNTING)]


def is_discrete(node: Node) -> bool:
    """Whether the expression means something for whole numbers only: floors, binomials, powers of -1."""
    for each in walk(node):
        if each.kind == "call" and each.name in DISCRETE_CALLS:
            return True
        if each.kind == "power" and not symbols(each.parts[0]) and symbols(each.parts[1]):
            base = exact(each.parts[0])
            if base is not None and base < 0:
                return True
    return False


def real_samples(nodes: tuple[Node, ...], names: list[str]) -> Iterator[Sample]:
    for turn in range(3):
        yield Sample(generic(names, turn), True)
    for turn in range(1, 4):
        values = {
            # a symbol with an index is mostly a given quantity, a radius or a mass, and positive
            name: (1 if "_" in name else SIGNS[turn][index % 4]) * (POSITIVE[(index + turn) % 8] + 0.07 * turn)
            for index, name in enumerate(names)
        }
        yield Sample(values, False)
    bends = list(kinks(nodes))[:MAX_KINKS]
    if not bends:
        return
    base = generic(names, 0)
    for name in names:
        for value in beside(critical_values(bends, base, name) or [0.0], largest_constant(nodes)):
            if value > 0 or "_" not in name:
                yield Sample({**base, name: value}, value > 0)


def generic(names: list[str], turn: int) -> dict[str, float]:
    return {name: POSITIVE[(index * 3 + turn) % 8] + 0.11 * turn + 0.01 * index for index, name in enumerate(names)}


def whole_samples(nodes: tuple[Node, ...], names: list[str], whole: list[str]) -> Iterator[Sample]:
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
    bends = list(kinks(nodes))[:MAX_KINKS]
    if not bends and not any(each.kind == "call" and each.name in JUMPS for node in nodes for each in walk(node)):
        return
    base = points[1]
    for name in names:
        if name not in whole:
            critical = critical_values(bends, base, name)
            for value in beside(critical, largest_constant(nodes)) if critical else []:
                yield Sample({**base, name: value}, value > 0)
            continue
        values = set(range(FIRST_WHOLE, FIRST_WHOLE + CONSECUTIVE))
        for number in (*critical_values(bends, base, name), *whole_constants(nodes)):
            values |= {round(number) + step for step in (-1, 0, 1)} | {round(2 * number) + step for step in (-1, 1)}
        values.add(round(1.7 * max(values)) + 1)
        for value in sorted(value for value in values if value >= 2)[:MAX_SAMPLES]:
            yield Sample({**base, name: float(value)}, True)


def kinks(nodes: tuple[Node, ...]) -> Iterator[tuple[Node, tuple[float, ...]]]:
    """Parts of the expressions, with the values at which what holds them bends, jumps or ends."""
    for node in nodes:
        for each in walk(node):
            if each.kind == "call" and each.name in ("max", "min"):
                for one, other in pairwise(each.parts):
                    yield Node("add", parts=(one, negate(other))), (0.0,)
            elif each.kind == "call" and each.name == "mod" and len(each.parts) == 2:
                yield Node("divide", parts=each.parts), ENDS["floor"]
            elif each.kind == "call" and each.name in ENDS and symbols(each.parts[0]):
                yield each.parts[0], ENDS[each.name]
            elif each.kind == "power" and symbols(each.parts[0]) and not is_whole(each.parts[1]):
                yield each.parts[0], (0.0,)


def is_whole(node: Node) -> bool:
    value = exact(node)
    return value is not None and value.denominator == 1


def critical_values(bends: list[tuple[Node, tuple[float, ...]]], base: dict[str, float], name: str) -> list[float]:
    """Values of one symbol at which the expressions have a kink, the others as in `base`; ascending."""
    found: set[float] = set()
    for part, targets in bends:
        if name not in symbols(part):
            continue

        def function(x: float, part: Node = part) -> float | None:
            return real_value(part, {**base, name: x})

        if (root := linear_root(function)) is not None:
            slope = (function(root + 1) or 0) - (function(root) or 0)
            found |= {root + target / slope for target in targets if slope}
        else:
            for target in targets[:3]:
                found |= set(crossings(shifted(function, target), GRID))
    return sorted(x for x in found if abs(x) < MAX_CONSTANT)[:MAX_CRITICAL]


def shifted(function: Function, target: float) -> Function:
    return lambda x: None if (value := function(x)) is None else value - target


def real_value(node: Node, point: dict[str, float]) -> float | None:
    try:
        value, _ = Evaluator(point).value(node)
    except NoValue:
        return None
    return value.real if abs(value.imag) <= 1e-9 * (1 + abs(value)) else None


def beside(critical: list[float], beyond: float) -> Iterator[float]:
    """The critical values, points just beside and between them, and points beyond them and every constant."""
    ordered = sorted(set(critical))
    for value in ordered:
        yield from (value, value - ASIDE, value + ASIDE)
    for low, high in pairwise(ordered):
        yield low + 0.47 * (high - low)
    yield ordered[-1] + 1.71 * beyond
    yield ordered[0] - 1.73 * beyond


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
