"""Positive numbers beyond floats that are products, such as 2^8000 times the root of 3, by their logarithms."""

import math

from deepscaler.reward.strict.compare.exact import exact
from deepscaler.reward.strict.compare.functions import NoValue
from deepscaler.reward.strict.compare.values import Evaluator
from deepscaler.reward.strict.tree import Node

TOLERANCE = 2.0**-46
"""Of a logarithm, relative to it and at least 1."""


def equal_by_logarithms(one: Node, other: Node) -> bool:
    """Whether two products have one value, up to what double precision leaves of their logarithms."""
    first, second = logarithm(one), logarithm(other)
    if first is None or second is None:
        return False
    return abs(first - second) <= TOLERANCE * max(1.0, abs(first))


def logarithm(node: Node) -> float | None:
    """The natural logarithm of a positive number; None where it is none or a sum too large for a float."""
    value = exact(node)
    if value is not None:
        return math.log(value.numerator) - math.log(value.denominator) if value > 0 else None
    logs = [logarithm(part) for part in node.parts] if node.kind in ("multiply", "divide", "power", "call") else []
    first = logs[0] if logs else None
    if first is not None and node.kind == "power":
        exponent = real_value(node.parts[1])
        return None if exponent is None else first * exponent
    if first is not None and len(logs) > 1 and logs[1] is not None and node.kind in ("multiply", "divide"):
        return first + logs[1] if node.kind == "multiply" else first - logs[1]
    if first is not None and node.kind == "call" and node.name == "sqrt":
        return first / 2
    value_here = real_value(node)
    return math.log(value_here) if value_here is not None and value_here > 0 else None


def real_value(node: Node) -> float | None:
    try:
        value, _ = Evaluator({}).value(node)
    except NoValue:
        return None
    return value.real if value.imag == 0 else None
