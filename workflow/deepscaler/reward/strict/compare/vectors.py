r"""A vector as a sum of unit vectors, such as `2\mathbf{i} - 3\mathbf{k}`, by its components."""

from dataclasses import replace

from deepscaler.reward.strict.compare.scalars import equal_nodes
from deepscaler.reward.strict.tree import Node, negate, number, walk

PLAIN = ("i", "j", "k")
FAMILIES = (
    PLAIN,
    *(tuple(f"{accent}{{{letter}}}" for letter in PLAIN) for accent in ("hat", "vec", "bar")),
    ("hat{imath}", "hat{jmath}", "hat{k}"),
    ("vec{imath}", "vec{jmath}", "vec{k}"),
    ("hat{x}", "hat{y}", "hat{z}"),
    *(tuple(f"{name}_{index}" for index in (1, 2, 3)) for name in ("e", "hat{e}", "vec{e}", "bar{e}")),
)


def components(node: Node, count: int) -> tuple[Node, ...] | None:
    """The `count` components of a linear expression in unit vectors; None where it is none."""
    names = {each.name for each in walk(node) if each.kind in ("symbol", "constant")}
    for family in FAMILIES:
        used = names & set(family)
        if not used or (family == PLAIN and used == {"i"}) or not used <= set(family[:count]):
            continue
        parts = tuple(with_units(node, family, [float(index == axis) for axis in range(3)]) for index in range(count))
        return parts if is_linear(node, family, parts) else None
    return None


def is_linear(node: Node, family: tuple[str, ...], parts: tuple[Node, ...]) -> bool:
    """Whether the expression is the sum of the unit vectors times its values for one of them alone."""
    for point in ([0.0, 0.0, 0.0], [2.0, 3.0, 7.0]):
        terms = (Node("multiply", parts=(number(int(each)), part)) for each, part in zip(point, parts, strict=False))
        rest = Node("add", parts=(with_units(node, family, point), negate(Node("add", parts=tuple(terms)))))
        if not equal_nodes(rest, number(0)):
            return False
    return True


def with_units(node: Node, family: tuple[str, ...], values: list[float]) -> Node:
    """The expression with numbers for the unit vectors."""
    if node.kind in ("symbol", "constant") and node.name in family:
        return number(int(values[family.index(node.name)]))
    return replace(node, parts=tuple(with_units(part, family, values) for part in node.parts)) if node.parts else node
