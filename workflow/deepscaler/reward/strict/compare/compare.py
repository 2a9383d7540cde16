"""Whether two answers, as trees, mean the same."""

from contextlib import suppress
from dataclasses import replace
from string import ascii_lowercase

from deepscaler.reward.strict.compare.conditions import equal_cases, equal_conditioned
from deepscaler.reward.strict.compare.names import assigned_name, value_of
from deepscaler.reward.strict.compare.relations import equal_with_relation
from deepscaler.reward.strict.compare.scalars import equal_nodes, equal_scalars
from deepscaler.reward.strict.compare.sets import NotASet, equal_sets, is_set_like
from deepscaler.reward.strict.compare.vectors import components
from deepscaler.reward.strict.parse.numerals import read_number
from deepscaler.reward.strict.tree import (
    Answer,
    Based,
    Collection,
    Combination,
    Conditioned,
    Matrix,
    Node,
    Ratio,
    Region,
    Relation,
    Scalar,
    Sequence,
    has,
    walk,
)

MAX_UNORDERED = 60
MAX_SPELLINGS = 4
LETTERS = ascii_lowercase


def kind_of(answer: Answer) -> str:
    return type(answer).__name__.lower()


def equal(gold: Answer, answer: Answer) -> bool:
    """Whether the answer means what the gold means."""
    gold, answer = single(gold), single(answer)
    if is_given_again(gold, answer):
        return True
    if isinstance(gold, Conditioned) or isinstance(answer, Conditioned):
        return equal_conditioned(gold, answer, equal)
    if isinstance(gold, Relation) or isinstance(answer, Relation):
        return equal_with_relation(gold, answer, equal)
    match gold, answer:
        case Scalar(), Scalar():
            return equal_scalars(gold, answer)
        case Sequence(), Sequence():
            return equal_sequences(gold, answer)
        case (Sequence(), Collection()) | (Collection(), Sequence()):
            return equal_sequence_and_collection(gold, answer)
        case Collection(), Collection():
            return equal_collections(gold, answer)
        case Matrix(), Matrix():
            return equal_matrices(gold, answer)
        case (Matrix(), Sequence()) | (Sequence(), Matrix()):
            return equal_vectors(gold, answer)
        case ((Matrix() | Sequence()) as vector, Scalar() as total) | (
            Scalar() as total,
            (Matrix() | Sequence()) as vector,
        ):
            return equal_components(vector, total)
        case Ratio(), Ratio():
            return equal_ratios(gold, answer)
        case Based(), Scalar():
            return gold.digits.isdigit() and answer.node == read_number(gold.digits)
        case (Ratio(), Scalar()) | (Scalar(), Ratio()):
            return equal_ratio_and_scalar(gold, answer)
        case Combination(), Combination() if equal_parts(gold, answer):
            return True
    if is_set_like(gold) or is_set_like(answer):
        with suppress(NotASet):
            return equal_sets(gold, answer)
    return gold == answer


def single(answer: Answer) -> Answer:
    """The only item of a collection that holds one; other answers as they are."""
    while isinstance(answer, Collection) and len(answer.items) == 1 and answer.items[0] != Region("empty"):
        answer = answer.items[0]
    return answer


def is_given_again(gold: Answer, answer: Answer) -> bool:
    r"""Whether the answer gives the gold more than once, perhaps in other words (`\frac34 or 0.75`, `2, 2`)."""
    if not isinstance(gold, Scalar | Relation) or not isinstance(answer, Collection) or answer.is_set:
        return False
    return len(answer.items) <= MAX_SPELLINGS and all(equal(gold, item) for item in answer.items)


def equal_all(one: tuple[Answer, ...], other: tuple[Answer, ...]) -> bool:
    return len(one) == len(other) and all(map(equal, one, other))


def equal_sequences(gold: Sequence, answer: Sequence) -> bool:
    """In order; the kind of bracket matters for two items, which may be an interval's ends."""
    if len(gold.items) != len(answer.items):
        return False
    brackets = [side.opening + side.closing for side in (gold, answer)]
    if brackets[0] != brackets[1] and (len(gold.items) == 2 or not all(each in ("()", "[]") for each in brackets)):
        return False
    if all(isinstance(item, Scalar) and is_infinite(item.node) for item in (*gold.items, *answer.items)):
        return [sign(item) for item in gold.items] == [sign(item) for item in answer.items]
    return equal_all(gold.items, answer.items)


def is_infinite(node: Node) -> bool:
    return has(node, "constant") and any(each.kind == "constant" and each.name == "infinity" for each in walk(node))


def sign(item: Answer) -> bool:
    return isinstance(item, Scalar) and item.node.kind == "negate"


def equal_sequence_and_collection(gold: Answer, answer: Answer) -> bool:
    """A tuple and a bare list or a set, item by item in the order written."""
    sequence, collection = (gold, answer) if isinstance(gold, Sequence) else (answer, gold)
    assert isinstance(sequence, Sequence)
    assert isinstance(collection, Collection)
    brackets = sequence.opening + sequence.closing
    if brackets not in ("()", "[]") or (brackets == "[]" and collection.is_set and len(sequence.items) == 2):
        return False
    names = {assigned_name(item) for item in collection.items if isinstance(item, Relation)}
    if len(names) == 1 < len(sequence.items) and None not in names:
        return False  # x = 1, x = 2 are two values of one name
    return equal_all(sequence.items, values_in_order(in_alphabet(collection)))


def in_alphabet(collection: Collection) -> Collection:
    """`b = 3, a = 2` as `a = 2, b = 3`, which is the order of (a, b): for letters that follow each other only."""
    named: list[tuple[str, Answer]] = []
    for item in collection.items:
        left = item.sides[0] if isinstance(item, Relation) else None
        if not isinstance(left, Scalar) or left.node.kind != "symbol":
            return collection
        named.append((left.node.name, item))
    named.sort(key=lambda pair: pair[0])
    follow = "".join(name for name, _ in named) in LETTERS and all(len(name) == 1 for name, _ in named)
    return replace(collection, items=tuple(item for _, item in named)) if follow else collection


def values_in_order(collection: Collection) -> tuple[Answer, ...]:
    """Items, assignments to different names as their values."""
    names = [assigned_name(item) for item in collection.items if isinstance(item, Relation)]
    if len(names) == len(collection.items) and None not in names and len(set(names)) == len(names):
        return tuple(value_of(item) or item for item in collection.items if isinstance(item, Relation))
    return collection.items


def equal_collections(gold: Collection, answer: Collection) -> bool:
    if (decided := equal_cases(gold, answer, equal)) is not None:
        return decided
    one, other = spread_assignment(gold), spread_assignment(answer)
    if (one is gold) != (other is answer) and equal_unordered(one, other):
        return True
    if one is not gold and other is not answer and assigned_name_of(gold) != assigned_name_of(answer):
        return False
    plain = [values_in_order(side) for side in (gold, answer)]
    assigned = [values is not side.items for values, side in zip(plain, (gold, answer), strict=True)]
    if assigned[0] != assigned[1] and not any(isinstance(item, Relation) for item in plain[0] + plain[1]):
        return equal_all(plain[0], plain[1])
    return equal_unordered(one, other)


def spread_assignment(collection: Collection) -> Collection:
    """`a = 4, -8, -10` lists three values of a."""
    first, *rest = collection.items
    if isinstance(first, Relation) and rest and not any(isinstance(item, Relation) for item in rest):
        value = value_of(first)
        if value is not None:
            return Collection((value, *rest), collection.is_set)
    return collection


def assigned_name_of(collection: Collection) -> str | None:
    """The name before the first value of `a = 4, -8, -10`."""
    first = collection.items[0]
    return assigned_name(first) if isinstance(first, Relation) else None


def equal_unordered(gold: Collection, answer: Collection) -> bool:
    """In any order. An answer may repeat itself; what the gold's list, no set, holds twice is asked for twice."""
    ours, theirs = list(gold.items), list(answer.items)
    once = distinct(ours)
    if gold.is_set or (len(once) == len(ours) < len(theirs)):
        ours, theirs = once, distinct(theirs)
    if len(ours) != len(theirs):
        return False
    if len(ours) > MAX_UNORDERED:
        return equal_all(tuple(ours), tuple(theirs))
    for item in ours:
        index = next((index for index, candidate in enumerate(theirs) if equal(item, candidate)), None)
        if index is None:
            return False
        theirs.pop(index)
    return True


def distinct(items: list[Answer]) -> list[Answer]:
    if len(items) > MAX_UNORDERED:
        return items
    kept: list[Answer] = []
    for item in items:
        if not any(equal(item, other) for other in kept):
            kept.append(item)
    return kept


def equal_matrices(gold: Matrix, answer: Matrix) -> bool:
    return len(gold.rows) == len(answer.rows) and all(map(equal_all, gold.rows, answer.rows))


def equal_vectors(gold: Answer, answer: Answer) -> bool:
    """A column or row and a tuple in round brackets; a matrix and its rows in square ones."""
    matrix, sequence = (gold, answer) if isinstance(gold, Matrix) else (answer, gold)
    assert isinstance(matrix, Matrix)
    assert isinstance(sequence, Sequence)
    rows = [item.items for item in sequence.items if isinstance(item, Sequence) and item.opening == "["]
    if sequence.opening == "[" and len(rows) == len(sequence.items):  # [[1,2],[3,4]]
        return len(rows) == len(matrix.rows) and all(map(equal_all, matrix.rows, rows))
    cells = tuple(cell for row in matrix.rows for cell in row)
    is_vector = len(matrix.rows) == 1 or all(len(row) == 1 for row in matrix.rows)
    return is_vector and sequence.opening + sequence.closing == "()" and equal_all(cells, sequence.items)


def equal_components(vector: Matrix | Sequence, total: Scalar) -> bool:
    """A vector, and a sum of unit vectors."""
    if isinstance(vector, Sequence):
        cells = vector.items if vector.opening + vector.closing == "()" else ()
    else:
        is_vector = len(vector.rows) == 1 or all(len(row) == 1 for row in vector.rows)
        cells = tuple(cell for row in vector.rows for cell in row) if is_vector else ()
    parts = components(total.node, len(cells)) if len(cells) in (2, 3) else None
    return parts is not None and all(equal(cell, Scalar(part)) for cell, part in zip(cells, parts, strict=True))


def equal_ratios(gold: Ratio, answer: Ratio) -> bool:
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


def equal_ratio_and_scalar(gold: Answer, answer: Answer) -> bool:
    ratio, scalar = (gold, answer) if isinstance(gold, Ratio) else (answer, gold)
    assert isinstance(ratio, Ratio)
    assert isinstance(scalar, Scalar)
    return len(ratio.parts) == 2 and equal_nodes(Node("divide", parts=ratio.parts), scalar.node)


def equal_parts(gold: Combination, answer: Combination) -> bool:
    if gold.operators != answer.operators:
        return False
    if set(gold.operators) <= {"comma"} or set(gold.operators) <= {"cup"} or set(gold.operators) <= {"cap"}:
        return equal_unordered(Collection(gold.parts, True), Collection(answer.parts, True))
    return equal_all(gold.parts, answer.parts)
