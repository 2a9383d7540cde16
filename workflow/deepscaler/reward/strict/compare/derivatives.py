r"""Derivatives in one spelling: `\frac{dy}{dt}`, `\dot{y}`, `y'` and `y'(t)`, where t is the only variable."""

import re
from collections.abc import Iterator
from dataclasses import replace

from deepscaler.reward.strict.tree import Node, number, symbols, walk

DOTTED = re.compile(r"(d*)dot\{(.*?)\}(.*)")


def primed(one: Node, other: Node) -> tuple[Node, Node] | None:
    """Both expressions with primes for every derivative and without the arguments of what is derived.

    None where a side has no derivative, or they are taken with respect to more than one variable.
    """
    sides = (one, other)
    variables = {name for side in sides for name in derivation_variables(side)}
    if len(variables) > 1 or not all(any(map(is_derivative, walk(side))) for side in sides):
        return None
    variable = next(iter(variables), "t")
    return with_primes(one, variable), with_primes(other, variable)


def derivation_variables(node: Node) -> Iterator[str]:
    for each in walk(node):
        if each.kind == "opaque" and each.name == "derivative":
            yield from symbols(each.parts[2])


def is_derivative(node: Node) -> bool:
    if node.kind == "opaque" and node.name == "derivative":
        return True
    return node.kind in ("symbol", "opaque") and ("'" in node.name or bool(DOTTED.match(node.name)))


def with_primes(node: Node, variable: str) -> Node:
    if node.kind == "opaque" and node.name == "derivative":
        operand, order, _ = node.parts
        below = with_primes(operand, variable)
        if below.kind == "symbol" and order in (number(1), number(2), number(3)):
            return Node("symbol", below.name + "'" * int(order.number))
    if node.kind == "symbol" or (node.kind == "opaque" and node.parts == (Node("symbol", variable),)):
        dotted = DOTTED.fullmatch(node.name)
        name = dotted[2] + dotted[3] + "'" * (len(dotted[1]) + 1) if dotted else node.name
        return Node("symbol", name.lstrip("\\"))
    return replace(node, parts=tuple(with_primes(part, variable) for part in node.parts)) if node.parts else node
