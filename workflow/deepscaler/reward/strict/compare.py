"""Whether two answers, as trees, mean the same."""

import math
from contextlib import suppress

from .functions import NoValue
from .numerals import read_number
from .scalars import equal_nodes, equal_scalars, points
from .sets import NotASet, equal_sets, is_set_like
from .tree import (
    Answer,
    Based,
    Collection,
    Combination,
    Matrix,
    Node,
    Ratio,
    Relation,
    Scalar,
    Sequence,
    Words,
    has,
    negate,
    symbols,
    walk,
)
from .values import Evaluator

_INEQUALITIES = frozenset(("<", ">", "le", "ge", "ne"))
_MAX_UNORDERED = 60


def kind_of(answer: Answer) -> str:
    return type(answer).__name__.lower()


def equal(gold: Answer, answer: Answer) -> bool:
    """Whether the answer means what the gold means."""
    gold, answer = _single(gold), _single(answer)
    if isinstance(gold, Relation) or isinstance(answer, Relation):
        return _equal_with_relation(gold, answer)
    match gold, answer:
        case Scalar(), Scalar():
            return equal_scalars(gold, answer)
        case Sequence(), Sequence():
            return _equal_sequences(gold, answer)
        case (Sequence(), Collection()) | (Collection(), Sequence()):
            return _equal_sequence_and_collection(gold, answer)
        case Collection(), Collection():
            return _equal_collections(gold, answer)
        case Matrix(), Matrix():
            return _equal_matrices(gold, answer)
        case (Matrix(), Sequence()) | (Sequence(), Matrix()):
            return _equal_vectors(gold, answer)
        case Ratio(), Ratio():
            return _equal_ratios(gold, answer)
        case Based(), Scalar():
            return answer.node == read_number(gold.digits) and gold.digits.isdigit()
        case (Ratio(), Scalar()) | (Scalar(), Ratio()):
            return _equal_ratio_and_scalar(gold, answer)
        case Combination(), Combination() if _equal_parts(gold, answer):
            return True
    if is_set_like(gold) or is_set_like(answer):
        with suppress(NotASet):
            return equal_sets(gold, answer)
    return gold == answer


def _single(answer: Answer) -> Answer:
    """The only item of a collection that holds one, perhaps more than once; other answers as they are."""
    while isinstance(answer, Collection) and all(item == answer.items[0] for item in answer.items[1:]):
        answer = answer.items[0]
    return answer


def _equal_all(one: tuple[Answer, ...], other: tuple[Answer, ...]) -> bool:
    return len(one) == len(other) and all(map(equal, one, other))


def _equal_sequences(gold: Sequence, answer: Sequence) -> bool:
    """In order; the kind of bracket matters for two items, which may be an interval's ends."""
    if len(gold.items) != len(answer.items):
        return False
    if len(gold.items) == 2 and (gold.opening, gold.closing) != (answer.opening, answer.closing):
        return False
    if all(isinstance(item, Scalar) and _is_infinite(item.node) for item in (*gold.items, *answer.items)):
        return [_sign(item) for item in gold.items] == [_sign(item) for item in answer.items]
    return _equal_all(gold.items, answer.items)


def _is_infinite(node: Node) -> bool:
    return has(node, "constant") and any(each.kind == "constant" and each.name == "infinity" for each in walk(node))


def _sign(item: Answer) -> bool:
    return isinstance(item, Scalar) and item.node.kind == "negate"


def _equal_sequence_and_collection(gold: Answer, answer: Answer) -> bool:
    """A tuple and a bare list or a set, item by item in the order written."""
    sequence, collection = (gold, answer) if isinstance(gold, Sequence) else (answer, gold)
    assert isinstance(sequence, Sequence)
    assert isinstance(collection, Collection)
    brackets = sequence.opening + sequence.closing
    if brackets not in ("()", "[]") or (brackets == "[]" and collection.is_set and len(sequence.items) == 2):
        return False
    return _equal_all(sequence.items, _values_in_order(collection))


def _values_in_order(collection: Collection) -> tuple[Answer, ...]:
    """Items, assignments to different names as their values."""
    names = [_assigned_name(item) for item in collection.items if isinstance(item, Relation)]
    if len(names) == len(collection.items) and None not in names and len(set(names)) == len(names):
        return tuple(_value(item) or item for item in collection.items if isinstance(item, Relation))
    return collection.items


def _equal_collections(gold: Collection, answer: Collection) -> bool:
    one, other = _spread_assignment(gold), _spread_assignment(answer)
    if (one is gold) != (other is answer) and _equal_unordered(one, other):
        return True
    plain = [_values_in_order(side) for side in (gold, answer)]
    assigned = [values is not side.items for values, side in zip(plain, (gold, answer), strict=True)]
    if assigned[0] != assigned[1]:
        return _equal_all(plain[0], plain[1])
    return _equal_unordered(one, other)


def _spread_assignment(collection: Collection) -> Collection:
    """`a = 4, -8, -10` lists three values of a."""
    first, *rest = collection.items
    if isinstance(first, Relation) and rest and not any(isinstance(item, Relation) for item in rest):
        value = _value(first)
        if value is not None:
            return Collection((value, *rest), collection.is_set)
    return collection


def _equal_unordered(gold: Collection, answer: Collection) -> bool:
    """As sets: an item written twice counts once."""
    ours, theirs = _distinct(list(gold.items)), _distinct(list(answer.items))
    if len(ours) != len(theirs):
        return False
    if len(ours) > _MAX_UNORDERED:
        return _equal_all(tuple(ours), tuple(theirs))
    for item in ours:
        place = next((place for place, candidate in enumerate(theirs) if equal(item, candidate)), None)
        if place is None:
            return False
        theirs.pop(place)
    return True


def _distinct(items: list[Answer]) -> list[Answer]:
    if len(items) > _MAX_UNORDERED:
        return items
    kept: list[Answer] = []
    for item in items:
        if not any(equal(item, other) for other in kept):
            kept.append(item)
    return kept


def _equal_matrices(gold: Matrix, answer: Matrix) -> bool:
    return len(gold.rows) == len(answer.rows) and all(map(_equal_all, gold.rows, answer.rows))


def _equal_vectors(gold: Answer, answer: Answer) -> bool:
    """A column or row and a tuple in round brackets."""
    matrix, sequence = (gold, answer) if isinstance(gold, Matrix) else (answer, gold)
    assert isinstance(matrix, Matrix)
    assert isinstance(sequence, Sequence)
    cells = tuple(cell for row in matrix.rows for cell in row)
    is_vector = len(matrix.rows) == 1 or all(len(row) == 1 for row in matrix.rows)
    return is_vector and sequence.opening + sequence.closing == "()" and _equal_all(cells, sequence.items)


def _equal_ratios(gold: Ratio, answer: Ratio) -> bool:
    """Proportional; `12:00` has a zero and is a time, equal only in both parts."""
    if len(gold.parts) != len(answer.parts):
        return False
    if all(map(equal_nodes, gold.parts, answer.parts)):
        return True
    zero = Node("number")
    if any(equal_nodes(part, zero) for part in (*gold.parts, *answer.parts)):
        return False
    a, b = gold.parts[0], answer.parts[0]
    return all(
        equal_nodes(Node("multiply", parts=(a, other)), Node("multiply", parts=(b, one)))
        for one, other in zip(gold.parts[1:], answer.parts[1:], strict=True)
    )


def _equal_ratio_and_scalar(gold: Answer, answer: Answer) -> bool:
    ratio, scalar = (gold, answer) if isinstance(gold, Ratio) else (answer, gold)
    assert isinstance(ratio, Ratio)
    assert isinstance(scalar, Scalar)
    return len(ratio.parts) == 2 and equal_nodes(Node("divide", parts=ratio.parts), scalar.node)


def _equal_parts(gold: Combination, answer: Combination) -> bool:
    if gold.operators != answer.operators:
        return False
    if set(gold.operators) <= {"cup"} or set(gold.operators) <= {"cap"}:
        return _equal_unordered(Collection(gold.parts), Collection(answer.parts))
    return _equal_all(gold.parts, answer.parts)


# relations


def _equal_with_relation(gold: Answer, answer: Answer) -> bool:
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        return _equal_relations(gold, answer)
    relation, other = (gold, answer) if isinstance(gold, Relation) else (answer, gold)
    assert isinstance(relation, Relation)
    if _is_inequality(relation) or relation.operators == ("in",):
        try:
            return equal_sets(gold, answer)
        except NotASet:
            pass
        return relation.operators == ("in",) and equal(relation.sides[1], other)
    value = _value(relation)
    return value is not None and equal(value, other)


def _is_inequality(relation: Relation) -> bool:
    return any(operator in _INEQUALITIES for operator in relation.operators)


def _equal_relations(gold: Relation, answer: Relation) -> bool:
    gold, answer = _without_approximation(gold), _without_approximation(answer)
    if gold.operators == answer.operators and _equal_all(gold.sides, answer.sides):
        return True
    if _is_inequality(gold) or _is_inequality(answer) or "in" in gold.operators + answer.operators:
        return _equal_inequalities(gold, answer)
    one, other = _assigned_name(gold), _assigned_name(answer)
    if one is not None and other is not None and _names_agree(gold, one, answer, other):
        ours, theirs = _value(gold), _value(answer)
        if ours is not None and theirs is not None and equal(ours, theirs):
            return True
    return _equal_equations(gold, answer)


def _names_agree(gold: Relation, one: str, answer: Relation, other: str) -> bool:
    """The same name, or y and f(x) for the same function."""
    return one == other or {_is_dependent(gold), _is_dependent(answer)} == {True}


def _is_dependent(relation: Relation) -> bool:
    """Whether the left side is a function's value or y, and the right side depends on something."""
    left, right = relation.sides[0], relation.sides[-1]
    if not isinstance(left, Scalar) or not isinstance(right, Scalar) or not symbols(right.node):
        return False
    return left.node.kind == "opaque" or left.node == Node("symbol", "y")


def _without_approximation(relation: Relation) -> Relation:
    """`x = 1/3 ≈ 0.33` is x = 1/3."""
    if "approx" not in relation.operators[1:]:
        return relation
    end = relation.operators.index("approx", 1)
    return Relation(relation.sides[: end + 1], relation.operators[:end])


def _value(relation: Relation) -> Answer | None:
    """What an assignment says its left side is; None where the relation is no assignment."""
    if "approx" in relation.operators:
        first = relation.operators.index("approx")
        if first == 0 and _assigned_name(relation) is None:
            return relation.sides[0]
        if first > 0:
            return _value(_without_approximation(relation))
    if not set(relation.operators) <= {"=", "approx"}:
        return None
    last = relation.sides[-1]
    if _assigned_name(relation) is not None:
        return None if relation.sides[0] == last else last
    if len(relation.sides) > 2 and any(_is_name(side) for side in relation.sides[1:-1]):
        return last
    consistent = all(isinstance(side, Scalar) and not symbols(side.node) for side in relation.sides)
    return last if consistent and all(equal(side, last) for side in relation.sides[:-1]) else None


def _assigned_name(relation: Relation) -> str | None:
    """The spelling of the left side where it is a name, else None."""
    return str(relation.sides[0]) if _is_name(relation.sides[0]) else None


def _is_name(side: Answer) -> bool:
    """A symbol, a function's value, |AB|, a ratio or a tuple of names: what a result can be assigned to."""
    match side:
        case Words():
            return True
        case Scalar():
            return _is_name_node(side.node)
        case Ratio():
            return all(map(_is_name_node, side.parts))
        case Sequence():
            return all(map(_is_name, side.items))
    return False


def _is_name_node(node: Node) -> bool:
    if node.kind == "symbol" or (node.kind == "constant" and node.name in ("e", "i")):
        return True
    if node.kind == "opaque":
        return True
    if node.kind == "call":
        return node.name in ("abs", "max", "min", "sin", "cos", "tan") and all(map(_is_name_node, node.parts))
    if node.kind == "divide":
        return all(map(_is_name_node, node.parts))
    if node.kind == "multiply":
        return all(_is_name_node(part) and _is_capital(part) for part in node.parts)
    return False


def _is_capital(node: Node) -> bool:
    """Points and the segments between them, as in AB."""
    return all(each.name[:1].isupper() for each in walk(node) if each.kind == "symbol")


def _difference(one: Answer, other: Answer) -> Node | None:
    if isinstance(one, Scalar) and isinstance(other, Scalar):
        return Node("add", parts=(one.node, negate(other.node)))
    return None


def _equal_equations(gold: Relation, answer: Relation) -> bool:
    """Equations of two sides whose differences are proportional."""
    if gold.operators != ("=",) or answer.operators != ("=",):
        return False
    one, other = _difference(*gold.sides), _difference(*answer.sides)
    return one is not None and other is not None and _factor(one, other) is not None


def _factor(one: Node, other: Node) -> float | None:
    """The constant c with one = c * other everywhere, or None."""
    names = symbols(one)
    if not names or names != symbols(other):
        return None
    ratios = []
    for point, binding in points(sorted(names), False):
        try:
            a, b = Evaluator(point).value(one)[0], Evaluator(point).value(other)[0]
        except NoValue:
            continue
        if abs(b) > 1e-9 and abs(a) > 1e-9 and (binding or (a.imag == 0 and b.imag == 0)):
            ratios.append(a / b)
    if len(ratios) < 3 or any(abs(ratio - ratios[0]) > 1e-9 * abs(ratio) for ratio in ratios):
        return None
    return ratios[0].real if abs(ratios[0].imag) < 1e-9 * abs(ratios[0]) else None


def _equal_inequalities(gold: Relation, answer: Relation) -> bool:
    try:
        return equal_sets(gold, answer) and _same_unknown(gold, answer)
    except NotASet:
        pass
    ours, theirs = _links(gold), _links(answer)
    if ours is None or theirs is None or len(ours) != len(theirs):
        return False
    for strict, one in ours:
        match = next((link for link in theirs if link[0] == strict and _positive_factor(one, link[1], strict)), None)
        if match is None:
            return False
        theirs.remove(match)
    return True


def _same_unknown(gold: Relation, answer: Relation) -> bool:
    """Whether both speak of the same symbol; a membership's right side has none."""
    one, other = (set().union(*(symbols(s.node) for s in r.sides if isinstance(s, Scalar))) for r in (gold, answer))
    return one == other or "in" in gold.operators + answer.operators


def _links(relation: Relation) -> list[tuple[str, Node]] | None:
    """`a < b <= c` as (strict, b - a), (weak, c - b): each expression is positive, or not negative, or not zero."""
    links = []
    for one, operator, other in zip(relation.sides, relation.operators, relation.sides[1:], strict=False):
        difference = _difference(other, one) if operator in ("<", "le", "ne") else _difference(one, other)
        if difference is None or operator not in _INEQUALITIES:
            return None
        links.append(({"<": "strict", ">": "strict", "ne": "unequal"}.get(operator, "weak"), difference))
    return links


def _positive_factor(one: Node, other: Node, kind: str) -> bool:
    factor = _factor(one, other)
    return factor is not None and (factor > 0 or kind == "unequal") and math.isfinite(factor)
