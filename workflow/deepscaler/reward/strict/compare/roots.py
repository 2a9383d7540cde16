"""Where a function of one variable takes a value: by bisection, for polynomials between their extrema."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import reduce
from itertools import pairwise

from deepscaler.reward.strict.compare.exact import exact
from deepscaler.reward.strict.compare.functions import NoValue
from deepscaler.reward.strict.compare.values import Evaluator, TooMuchWork
from deepscaler.reward.strict.tree import Node

Function = Callable[[float], float | None]
Polynomial = tuple[Fraction, ...]
"""Coefficients, the constant first; the last is not zero."""

HALVINGS = 80
MAX_ROOTS = 12
MAX_DEGREE = 12
MAX_COEFFICIENT = 10**30


def crossings(function: Function, grid: Iterable[float]) -> list[float]:
    """Points where the function changes its sign, or is zero, between neighbours of an ascending grid."""
    found: list[float] = []
    values = [(x, function(x)) for x in grid]
    for (low, below), (high, above) in pairwise(values):
        if len(found) == MAX_ROOTS:
            break
        if below == 0:
            found.append(low)
        elif below is not None and above is not None and (below < 0) != (above < 0) and above != 0:
            found.append(bisected(function, low, high, below < 0))
    if values and values[-1][1] == 0:
        found.append(values[-1][0])
    return found


def bisected(function: Function, low: float, high: float, rising: bool) -> float:
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        value = function(middle)
        if value is None or middle in (low, high):
            break
        low, high = (middle, high) if (value < 0) == rising else (low, middle)
    return high


def polynomial(node: Node, name: str) -> Polynomial | None:
    """The expression as a polynomial in one symbol where it is one."""
    return survey(node, name)[0]


def polynomial_parts(node: Node, name: str) -> list[Polynomial]:
    """The largest parts that are polynomials, the whole one if it is."""
    whole, parts = survey(node, name)
    return parts if whole is None else [whole]


def survey(node: Node, name: str) -> tuple[Polynomial | None, list[Polynomial]]:
    """The expression as a polynomial, or None and its largest parts that are: each part is looked at once."""
    seen = [survey(part, name) for part in node.parts]
    whole = combined(node, [each for each, _ in seen], name)
    if whole is not None:
        return whole, []
    return None, [each for part, below in seen for each in ([part] if part is not None else below)]


def combined(node: Node, parts: list[Polynomial | None], name: str) -> Polynomial | None:
    """The polynomial of an expression of parts that are polynomials; None where it is none."""
    if node.kind == "symbol":
        return (Fraction(0), Fraction(1)) if node.name == name else None
    if any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    if node.kind in ("number", "constant") or (all(len(part) < 2 for part in known) and node.kind != "opaque"):
        value = number_value(node)
        return None if value is None else trimmed([value])
    match node.kind:
        case "negate":
            return times(known[0], (Fraction(-1),))
        case "add":
            zero: Polynomial | None = ()
            return reduce(plus, known, zero)
        case "multiply":
            return times(known[0], known[1])
        case "divide" if len(known[1]) == 1:
            return times(known[0], (1 / known[1][0],))
        case "power" if len(known[1]) < 2:
            exponent = known[1][0] if known[1] else Fraction(0)
            if exponent.denominator == 1 and 0 <= exponent <= MAX_DEGREE:
                one: Polynomial | None = (Fraction(1),)
                return reduce(times, [known[0]] * int(exponent), one)
    return None


def number_value(node: Node) -> Fraction | None:
    """The value of an expression without symbols: exact, or nearly so where it is irrational."""
    if (value := exact(node)) is not None:
        return value
    try:
        near, _ = Evaluator({}).value(node)
    except (NoValue, TooMuchWork):
        return None
    return None if near.imag else Fraction(near.real).limit_denominator(10**9)


def trimmed(coefficients: list[Fraction]) -> Polynomial | None:
    while coefficients and coefficients[-1] == 0:
        coefficients.pop()
    large = any(max(abs(each.numerator), each.denominator) > MAX_COEFFICIENT for each in coefficients)
    return None if large or len(coefficients) > MAX_DEGREE + 1 else tuple(coefficients)


def plus(one: Polynomial | None, other: Polynomial | None) -> Polynomial | None:
    if one is None or other is None:
        return None
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    padded = (*shorter, *[Fraction(0)] * (len(longer) - len(shorter)))
    return trimmed([a + b for a, b in zip(longer, padded, strict=True)])


def times(one: Polynomial | None, other: Polynomial | None) -> Polynomial | None:
    if one is None or other is None:
        return None
    if not one or not other:
        return ()
    product = [Fraction(0)] * (len(one) + len(other) - 1)
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            product[i + j] += a * b
    return trimmed(product)


def real_roots(coefficients: Polynomial) -> list[float]:
    """Real roots in ascending order, each once."""
    return simple_roots(without_repeated_roots(coefficients))


def simple_roots(coefficients: Polynomial) -> list[float]:
    """Roots where the sign changes, between the extrema, which are such roots of the derivative."""
    if len(coefficients) < 2:
        return []
    if len(coefficients) == 2:
        return [float(-coefficients[0] / coefficients[1])]
    values = [float(each / coefficients[-1]) for each in coefficients]
    bound = 1 + max(map(abs, values[:-1]))
    return crossings(lambda x: evaluated(values, x), [-bound, *simple_roots(derivative(coefficients)), bound])


def derivative(coefficients: Polynomial) -> Polynomial:
    return tuple(power * each for power, each in enumerate(coefficients) if power)


def without_repeated_roots(coefficients: Polynomial) -> Polynomial:
    """The polynomial over what it has in common with its derivative."""
    one, other = coefficients, derivative(coefficients)
    while other:
        one, other = other, divided(one, other)[1]
    return divided(coefficients, one)[0] if len(one) > 1 else coefficients


def divided(dividend: Polynomial, divisor: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder."""
    rest, quotient = list(dividend), [Fraction(0)] * max(len(dividend) - len(divisor) + 1, 0)
    for shift in reversed(range(len(quotient))):
        factor = rest[shift + len(divisor) - 1] / divisor[-1]
        quotient[shift] = factor
        for index, each in enumerate(divisor):
            rest[shift + index] -= factor * each
    while rest and rest[-1] == 0:
        rest.pop()
    return tuple(quotient), tuple(rest)


def evaluated(values: list[float], x: float) -> float:
    total = 0.0
    for value in reversed(values):
        total = total * x + value
    return total
