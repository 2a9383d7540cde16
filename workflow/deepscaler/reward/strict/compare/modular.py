"""Numbers too large to write out, compared by their remainders: two that agree modulo large primes are equal.

So are rational expressions: symbols stand for numbers of their own, π and e too.

Two different rational numbers of a million digits have the same remainder for three given primes of 61 bits with a
chance of about 10^-40; whoever could choose the numbers for the primes would know the answer.
"""

import zlib

from deepscaler.reward.strict.compare.exact import exact
from deepscaler.reward.strict.tree import Node
from deepscaler.reward.verdicts import Refused

PRIMES = (2305843009213693951, 2305843009213693921, 2305843009213693907)
MAX_FACTORIAL = 20_000
"""Largest factorial, whose factors are multiplied one by one."""


class NoRemainder(Refused):
    """The expression is no rational number that can be had by remainders, or has none modulo this prime."""


def equal_by_remainders(one: Node, other: Node) -> bool | None:
    """Whether two rational numbers or expressions are equal; None where a side is none."""
    agreed = 0
    for prime in PRIMES:
        try:
            if remainder(one, prime) != remainder(other, prime):
                return False
        except NoRemainder:
            continue
        agreed += 1
    return True if agreed >= 2 else None


def remainder(node: Node, prime: int) -> int:
    """The value modulo a prime.

    Raises:
        NoRemainder: it has none.
    """
    parts = node.parts
    match node.kind:
        case "number":
            return quotient(node.number.numerator % prime, node.number.denominator % prime, prime)
        case "symbol" | "constant" if node.name not in ("i", "infinity"):
            return zlib.crc32(node.name.encode()) ** 3 % prime  # any number will do for what can be any number
        case "add":
            return sum(remainder(part, prime) for part in parts) % prime
        case "multiply":
            return remainder(parts[0], prime) * remainder(parts[1], prime) % prime
        case "divide":
            return quotient(remainder(parts[0], prime), remainder(parts[1], prime), prime)
        case "negate":
            return -remainder(parts[0], prime) % prime
        case "percent":
            return quotient(remainder(parts[0], prime), 100, prime)
        case "power":
            base, exponent = remainder(parts[0], prime), whole(parts[1])
            if base == 0 and exponent <= 0:
                raise NoRemainder("a power of zero")
            return pow(base, exponent, prime)
        case "call" if node.name == "factorial":
            return falling(whole(parts[0]), whole(parts[0]), prime)
        case "call" if node.name == "binom" and len(parts) == 2:
            n, k = whole(parts[0]), whole(parts[1])
            k = min(k, n - k)
            return quotient(falling(n, k, prime), falling(k, k, prime), prime)
    raise NoRemainder(node.kind)


def quotient(above: int, below: int, prime: int) -> int:
    if below == 0:
        raise NoRemainder("division by zero")
    return above * pow(below, -1, prime) % prime


def whole(node: Node) -> int:
    value = exact(node)
    if value is None or value.denominator != 1:
        raise NoRemainder("no whole number")
    return value.numerator


def falling(start: int, count: int, prime: int) -> int:
    """start * (start - 1) * ... of so many factors; the factorial where both are equal."""
    if not 0 <= count <= min(start, MAX_FACTORIAL):
        raise NoRemainder("factorial out of range")
    product = 1
    for factor in range(start - count + 1, start + 1):
        product = product * factor % prime
    return product
