"""A number with its range."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """Low, expected, high: a number for each of three stacks, in that order."""

    low: float
    expected: float
    high: float

    def times(self, factor: float) -> "Range":
        return Range(self.low * factor, self.expected * factor, self.high * factor)

    def plus(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def rounded(self, digits: int) -> dict[str, float]:
        return {
            "low": round(self.low, digits),
            "expected": round(self.expected, digits),
            "high": round(self.high, digits),
        }


NOTHING = Range(0.0, 0.0, 0.0)


def total(ranges: Iterable[Range]) -> Range:
    result = NOTHING
    for item in ranges:
        result = result.plus(item)
    return result


def over(items: tuple[T, T, T], function: Callable[[T], float]) -> Range:
    """`function` of the low, the expected and the high case."""
    low, expected, high = items
    return Range(function(low), function(expected), function(high))
