"""What a relation gives a value to: a name (`x = 3`), or an expression that a problem asks for (`m + n = 73`)."""

from deepscaler.reward.strict.compare.exact import exact
from deepscaler.reward.strict.compare.scalars import equal_scalars
from deepscaler.reward.strict.tree import Answer, Node, Ratio, Relation, Scalar, Sequence, Words, symbols, walk

FUNCTION_NAMES = tuple(Node("symbol", name) for name in "fgh")
TRIGONOMETRIC = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))
NAMED_CALLS = frozenset(("abs", "max", "min", "floor", "ceil", "deg", "det", "gcd", "lcm", "Re", "Im"))


def without_approximation(relation: Relation) -> Relation:
    """`x = 1/3 ≈ 0.33` is x = 1/3."""
    if "approx" not in relation.operators[1:]:
        return relation
    end = relation.operators.index("approx", 1)
    return Relation(relation.sides[: end + 1], relation.operators[:end])


def value_of(relation: Relation) -> Answer | None:
    """The value that an assignment gives its left side; None where the relation is no assignment."""
    if "approx" in relation.operators:
        first = relation.operators.index("approx")
        if first == 0 and assigned_name(relation) is None:
            return relation.sides[0] if is_about(relation) else None
        if first > 0:
            return value_of(without_approximation(relation))
    if not set(relation.operators) <= {"=", "approx"}:
        return None
    last = relation.sides[-1]
    if assigned_name(relation) is not None:
        return None if relation.sides[0] == last else last
    left = relation.sides[0]
    if len(relation.sides) == 2 and is_name(last) and isinstance(left, Scalar) and not symbols(left.node):
        return left
    if len(relation.sides) > 2 and any(is_name(side) for side in relation.sides[1:-1]):
        return last
    plain = [side for side in relation.sides if isinstance(side, Scalar) and not symbols(side.node)]
    if len(plain) < len(relation.sides) or not all(equal_scalars(side, plain[-1]) for side in plain[:-1]):
        return None
    return last


def is_about(relation: Relation) -> bool:
    """Whether what stands behind the sign may be the value before it, rounded; `15 \\sim 20` is a range."""
    one, other = relation.sides[:2]
    if not isinstance(one, Scalar) or not isinstance(other, Scalar) or other.node.kind != "number":
        return True
    value = exact(one.node)
    return value is None or abs(value - other.node.number) < (other.node.ulp or 1)


def value_of_expression(relation: Relation) -> Answer | None:
    """The value of an expression that a problem asks for, as in `m+n = 73`; None where it is an equation to be solved.

    What has one unknown only, as `2x = 10`, is an equation for it.
    """
    first, last = relation.sides[0], relation.sides[-1]
    if len(relation.sides) == 2 and isinstance(first, Scalar) and not symbols(first.node):
        first, last = last, first  # 73 = m + n
    if set(relation.operators) != {"="} or not isinstance(first, Scalar) or not isinstance(last, Scalar):
        return None
    if len(symbols(first.node)) < 2 or symbols(last.node) or not numbers_agree(relation.sides):
        return None
    return last


def numbers_agree(sides: tuple[Answer, ...]) -> bool:
    """Whether all sides without symbols have one value."""
    plain = [side for side in sides if isinstance(side, Scalar) and not symbols(side.node)]
    return all(equal_scalars(plain[-1], side) for side in plain[:-1])


def assigned_name(relation: Relation) -> str | None:
    """The spelling of the left side where it is a name, else None."""
    return str(relation.sides[0]) if is_name(relation.sides[0]) else None


def is_name(side: Answer) -> bool:
    """A symbol, a function's value, |AB|, a ratio or a tuple of names: what a result can be assigned to."""
    match side:
        case Words():
            return True
        case Scalar():
            return is_name_node(side.node)
        case Ratio():
            return all(map(is_name_node, side.parts))
        case Sequence():
            return all(map(is_name, side.items))
    return False


def is_name_node(node: Node) -> bool:
    if node.kind == "symbol" or (node.kind == "constant" and node.name in ("e", "i")):
        return True
    if node.kind == "opaque":
        return True
    if node.kind == "call":
        return node.name in TRIGONOMETRIC or (node.name in NAMED_CALLS and all(map(is_name_node, node.parts)))
    if node.kind == "divide":
        return all(map(is_name_node, node.parts))
    if node.kind == "multiply":
        if node.parts[0].kind == "power" and node.parts[0].parts[0] in FUNCTION_NAMES:  # the inverse f^{-1}(x)
            return node.parts[1].kind in ("symbol", "number")
        return all(is_name_node(part) and is_capital(part) for part in node.parts)
    return False


def is_capital(node: Node) -> bool:
    """Points and the segments between them, as in AB."""
    return all(each.name[:1].isupper() for each in walk(node) if each.kind == "symbol")
