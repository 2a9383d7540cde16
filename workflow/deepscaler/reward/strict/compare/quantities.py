"""Two numbers with units, brought to one unit."""

import re
from fractions import Fraction

from deepscaler.reward.strict.text import phrases
from deepscaler.reward.strict.tree import Node, Scalar, number
from deepscaler.reward.strict.units import NUMBER, Unit, read_unit

WORD = re.compile(r"[a-z]+")
DEGREE = Unit((("°", 1),), Fraction(1))
LENGTHS_OF_ARC = {"'": "ft", "''": "in"}
"""What primes say beside a length."""
STERLING = (("£", 1),)


def in_one_unit(gold: Scalar, answer: Scalar) -> tuple[Node, Node] | None:
    """Both as numbers of one unit; None where the units contradict each other.

    A unit that is missing on one side changes nothing, unless it is a number itself, as a dozen is.
    """
    if not gold.unit and not answer.unit:
        return gold.node, answer.node
    if gold.unit.startswith("mod ") or answer.unit.startswith("mod "):
        same = gold.unit == answer.unit or "" in (gold.unit, answer.unit)
        return (gold.node, answer.node) if same else None
    ours, theirs = known_unit(gold), known_unit(answer)
    if ours is None and theirs is None:
        agree = not gold.unit or not answer.unit or same_words(gold.unit, answer.unit)
        return (gold.node, answer.node) if agree else None
    if ours is not None and theirs is not None:
        return converted(gold, ours, answer, theirs)
    if (gold.unit or ours) and (answer.unit or theirs):
        return None
    if ours is not None and not ours.dimensions:
        return scaled(gold.node, ours), answer.node
    if theirs is not None and not theirs.dimensions:
        return gold.node, scaled(answer.node, theirs)
    return gold.node, answer.node


def known_unit(side: Scalar) -> Unit | None:
    if side.unit:
        return read_unit(side.unit)
    return DEGREE if side.node.kind == "degree" else None


def converted(gold: Scalar, ours: Unit, answer: Scalar, theirs: Unit) -> tuple[Node, Node] | None:
    """Both in base units; None where the dimensions differ."""
    for side, other in ((gold, theirs), (answer, ours)):
        if side.unit in LENGTHS_OF_ARC and other.dimensions == (("m", 1),):
            length = read_unit(LENGTHS_OF_ARC[side.unit])
            ours, theirs = (length or ours, theirs) if side is gold else (ours, length or theirs)
    if STERLING in (ours.dimensions, theirs.dimensions) and {gold.unit, answer.unit} & {"pound", "pounds"}:
        return gold.node, answer.node
    if is_any(ours, theirs) or is_any(theirs, ours):
        return gold.node, answer.node
    if ours.dimensions != theirs.dimensions:
        return None
    if ours == theirs and "degree" not in (gold.node.kind, answer.node.kind):
        return gold.node, answer.node
    return scaled(gold.node, ours), scaled(answer.node, theirs)


def is_any(one: Unit, other: Unit) -> bool:
    """Whether `one` says no more than "units" or "square units", of a length."""
    lengths = {("unit", power): ("m", power) for power in (1, 2, 3)}
    return len(one.dimensions) == 1 and (lengths.get(one.dimensions[0]),) == other.dimensions


def scaled(node: Node, unit: Unit) -> Node:
    """The value in base units; a degree sign's own conversion to radians is taken back."""
    if node.kind == "degree" and unit.dimensions == DEGREE.dimensions:
        node = node.parts[0]
    if unit.factor != NUMBER.factor:
        node = Node("multiply", parts=(node, number(unit.factor)))
    for _ in range(abs(unit.pi)):
        node = Node("divide" if unit.pi < 0 else "multiply", parts=(node, Node("constant", "pi")))
    return node if not unit.zero else Node("add", parts=(node, number(unit.zero)))


def same_words(one: str, other: str) -> bool:
    """Whether two names of what is counted can mean the same: one may say more (`ways`, `different ways`)."""
    ours, theirs = plain_words(one), plain_words(other)
    return ours <= theirs or theirs <= ours


def plain_words(text: str) -> set[str]:
    """Words in singular, without those that say nothing."""
    words = WORD.findall(text.lower())
    return {word.removesuffix("s") for word in words if word not in phrases.IDLE} or set(words)
