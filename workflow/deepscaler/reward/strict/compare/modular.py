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
MAX_WORK = 200_000
"""Multiplications in one comparison: factors of a factorial, bits of an exponent."""


class NoRemainder(Refused):
    """The expression is no rational number that can be had by remainders, or has none modulo this prime."""


def equal_by_remainders(one: Node, other: Node) -> bool | None:
    """Whether two rational numbers or expressions are equal; None where a side is none."""
    agreed = 0
    work = 0
    for prime in PRIMES:
        field = Remainders(prime, MAX_WORK - work)
        try:
            if field.of(one) != field.of(other):
                return False
            agreed += 1
        except NoRemainder:
            pass
        work = MAX_WORK - field.budget
    return True if agreed >= 2 else None


class Remainders:
    """Values modulo a prime, within a budget of multiplications."""

    def __init__(self, prime: int, budget: int) -> None:
        self.prime, self.budget = prime, budget

    def of(self, node: Node) -> int:
        """The value modulo the prime.

        Raises:
            NoRemainder: it has none.
        """
        parts, prime = node.parts, self.prime
        match node.kind:
            case "number":
                return self.quotient(node.number.numerator % prime, node.number.denominator % prime)
            case "symbol" | "constant" if node.name not in ("i", "infinity"):
                return zlib.crc32(node.name.encode()) ** 3 % prime  # any number will do for what can be any number
            case "add":
                return sum(map(self.of, parts)) % prime
            case "multiply":
                return self.of(parts[0]) * self.of(parts[1]) % prime
            case "divide":
                return self.quotient(self.of(parts[0]), self.of(parts[1]))
            case "negate":
                return -self.of(parts[0]) % prime
            case "percent":
                return self.quotient(self.of(parts[0]), 100)
            case "power":
                return self.power(self.of(parts[0]), whole(parts[1]))
            case "call" if node.name == "factorial":
                return self.falling(whole(parts[0]), whole(parts[0]))
            case "call" if node.name == "binom" and len(parts) == 2:
                n, k = whole(parts[0]), whole(parts[1])
                k = min(k, n - k)
                return self.quotient(self.falling(n, k), self.falling(k, k))
        raise NoRemainder(node.kind)

    def power(self, base: int, exponent: int) -> int:
        if base == 0 and exponent <= 0:
            raise NoRemainder("a power of zero")
        self.spend(exponent.bit_length())
        return pow(base, exponent, self.prime)

    def quotient(self, above: int, below: int) -> int:
        if below == 0:
            raise NoRemainder("division by zero")
        return above * pow(below, -1, self.prime) % self.prime

    def falling(self, start: int, count: int) -> int:
        """start * (start - 1) * ... of so many factors; the factorial where both are equal."""
        if not 0 <= count <= start:
            raise NoRemainder("factorial out of range")
        self.spend(count)
        product = 1
        for factor in range(start - count + 1, start + 1):
            product = product * factor % self.prime
        return product

    def spend(self, steps: int) -> None:
        self.budget -= steps
        if self.budget < 0:
            raise NoRemainder("too much work")


def whole(node: Node) -> int:
    value = exact(node)
    if value is None or value.denominator != 1:
        raise NoRemainder("no whole number")
    return value.numerator
