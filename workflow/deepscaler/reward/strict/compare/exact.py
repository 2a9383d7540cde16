"""Exact rational values of expressions, where they are cheap to have."""

import math
from fractions import Fraction

from deepscaler.reward.strict.tree import Node

MAX_BITS = 6000
MAX_EXACT_FACTORIAL = 1000
MAX_ROOT_BITS = 900


def exact(node: Node) -> Fraction | None:
    """The rational value of a tree without symbols, or None where it has none that is cheap to have."""
    parts: list[Fraction] = []
    if node.kind not in EXACT_KINDS:
        return None
    for part in node.parts:
        value = exact(part)
        if value is None:
            return None
        parts.append(value)
    result = exact_value(node, parts)
    if result is not None and result.numerator.bit_length() + result.denominator.bit_length() > MAX_BITS:
        return None
    return result


EXACT_KINDS = frozenset(("number", "add", "multiply", "divide", "power", "negate", "call", "percent"))


def exact_value(node: Node, parts: list[Fraction]) -> Fraction | None:
    match node.kind:
        case "number":
            return node.number
        case "add":
            return sum(parts, Fraction(0))
        case "multiply":
            return parts[0] * parts[1]
        case "divide":
            return parts[0] / parts[1] if parts[1] else None
        case "negate":
            return -parts[0]
        case "percent":
            return parts[0] / 100
        case "power":
            return exact_power(*parts)
        case "call":
            return exact_call(node.name, parts)
    return None


def exact_power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        return exact_root(base, exponent.denominator, exponent.numerator)
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) * size > MAX_BITS or (base == 0 and exponent <= 0):
        return None
    return base ** int(exponent)


def exact_root(base: Fraction, degree: int, power: int = 1) -> Fraction | None:
    """base ** (power / degree) where that is rational and base is not negative."""
    if base < 0 or degree > 64 or degree < 1 or abs(power) > 64 or (base == 0 and power <= 0):
        return None
    roots = []
    for value in (base.numerator, base.denominator):
        if value.bit_length() > (MAX_BITS if degree == 2 else MAX_ROOT_BITS):
            return None
        if degree == 2:
            guess = math.isqrt(value)
        else:
            guess = round(value ** (1 / degree)) if value.bit_length() < 50 else integer_root(value, degree)
        if guess**degree != value:
            return None
        roots.append(guess)
    return exact_power(Fraction(*roots), Fraction(power))


def integer_root(value: int, degree: int) -> int:
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
    return low


def exact_call(name: str, parts: list[Fraction]) -> Fraction | None:
    first = parts[0]
    whole = all(part.denominator == 1 for part in parts)
    if name == "sqrt":
        return exact_root(first, 2)
    if name == "abs":
        return abs(first)
    if name in ("floor", "ceil"):
        return Fraction(math.floor(first) if name == "floor" else math.ceil(first))
    if name in ("max", "min"):
        return max(parts) if name == "max" else min(parts)
    if name == "factorial" and whole and 0 <= first <= MAX_EXACT_FACTORIAL:
        return Fraction(math.factorial(int(first)))
    if name == "factorial2" and whole and 0 <= first <= MAX_EXACT_FACTORIAL:
        return Fraction(math.prod(range(int(first), 0, -2)))
    if name == "binom" and len(parts) == 2 and whole and 0 <= parts[1] <= first <= 2000:
        return Fraction(math.comb(int(first), int(parts[1])))
    if name in ("gcd", "lcm") and whole:
        return Fraction((math.gcd if name == "gcd" else math.lcm)(*(int(part) for part in parts)))
    if name == "mod" and parts[1]:
        return first % parts[1]
    return None
