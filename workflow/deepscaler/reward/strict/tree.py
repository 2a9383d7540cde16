"""Trees of expressions, and of answers made of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction


@dataclass(slots=True)
class Node:
    """An expression.

    `kind`: number (`number` is its exact value, `digits` the significant ones of a decimal, 0 for others, `ulp` what
    one in its last place is worth), symbol, constant, add, multiply, divide, power, negate, plusminus (`name` + or -),
    call (a known function `name`), opaque (an unknown function or operator `name` of its parts), degree, percent,
    series (sum or product `name`: variable, lower, upper, body).
    """

    kind: str
    name: str = ""
    parts: tuple["Node", ...] = ()
    number: Fraction = Fraction(0)
    digits: int = 0
    ulp: Fraction = Fraction(0)


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, each before its parts."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack += reversed(node.parts)


def symbols(node: Node) -> set[str]:
    """Names of free symbols; a series' own variable counts too."""
    names: set[str] = set()
    gather_symbols(node, names)
    return names


def gather_symbols(node: Node, names: set[str]) -> None:
    if node.kind == "symbol":
        names.add(node.name)
    for part in node.parts:
        gather_symbols(part, names)


def has(node: Node, *kinds: str) -> bool:
    return any(each.kind in kinds for each in walk(node))


def number(value: int | Fraction) -> Node:
    return Node("number", number=Fraction(value))


def negate(node: Node) -> Node:
    return Node("negate", parts=(node,))


@dataclass(frozen=True, slots=True)
class Scalar:
    """An expression, perhaps with a unit (`cm^2`) behind it."""

    node: Node
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """Text that is no mathematics, in lower case with single spaces."""

    text: str


@dataclass(frozen=True, slots=True)
class Based:
    """A numeral in a base that its subscript names."""

    digits: str
    base: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """Items between brackets that keep their order; two numbers in round or square ones may mean an interval."""

    opening: str
    closing: str
    items: tuple["Answer", ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """Items in any order: a set in braces (`is_set`), or a bare list."""

    items: tuple["Answer", ...]
    is_set: bool = False


@dataclass(frozen=True, slots=True)
class Matrix:
    rows: tuple[tuple["Answer", ...], ...]


@dataclass(frozen=True, slots=True)
class Ratio:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """`sides[0] operators[0] sides[1] ...`, an operator being one of = < > le ge ne in approx."""

    sides: tuple["Answer", ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Combination:
    """Sets joined by cup, cap or setminus, from left to right."""

    parts: tuple["Answer", ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """A set with a name: the reals, the integers, the empty set."""

    name: str


@dataclass(frozen=True, slots=True)
class Conditioned:
    r"""A value and what it holds for: a domain (`k \in \mathbb{Z}`), which may be left out, or what `restricts` it:
    a case (`n if n is odd`), or words that are a part of the answer (`at least 12`)."""

    value: "Answer"
    conditions: tuple["Answer", ...]
    restricts: bool


Answer = Scalar | Words | Based | Sequence | Collection | Matrix | Ratio | Relation | Combination | Region | Conditioned
