r"""From tokens to the tree of a whole answer: lists, tuples, intervals, sets, relations, matrices, units, words.

Separators bind as people write them: a semicolon, then "and"/"or" between groups, then commas; within an item a
relation (`x = 3`, `0 < x \le 5`), then unions of sets, then brackets, then an expression with a unit behind it.
"""

import re
from functools import partial

from deepscaler.reward.strict.parse import labels
from deepscaler.reward.strict.parse.brackets import closing_position, outside, split
from deepscaler.reward.strict.parse.conditions import (
    conditioned,
    split_condition,
    take_trailing,
    with_conditions,
    with_counted,
)
from deepscaler.reward.strict.parse.lists import as_cases, collect, combined, integers_between, make_sequence
from deepscaler.reward.strict.parse.numerals import read_number
from deepscaler.reward.strict.parse.quantities import expression, plain_quantity, quantity
from deepscaler.reward.strict.parse.tokens import Token, tokenize
from deepscaler.reward.strict.parse.wrapping import (
    CASES,
    LINES,
    RELATIONS,
    SET_OPERATORS,
    comma_items,
    integers_condition,
    is_group,
    merge_thousands,
    name_of_something,
    needs_answer,
    set_condition,
    unwrapped,
    with_restatement,
    without_commas,
    without_idle_words,
    without_membership,
)
from deepscaler.reward.strict.text import phrases
from deepscaler.reward.strict.tree import (
    Answer,
    Collection,
    Combination,
    Conditioned,
    Matrix,
    Node,
    Region,
    Relation,
    Scalar,
    Sequence,
    Words,
    negate,
)
from deepscaler.reward.verdicts import Refused

MAX_NESTING = 12
SEPARATORS = frozenset((("operator", ","), ("operator", ";"), ("join", "and"), ("join", "or")))
TIMES = ("cdot", "*")
TRANSPOSED = frozenset((("letter", "T"), ("letter", "\\top"), ("letter", "\\intercal")))
REGIONS = {
    **{"setR": "reals", "setZ": "integers", "setN": "naturals", "setQ": "rationals", "setC": "complex"},
    **{"emptyset": "empty"},
}
PLAIN_KINDS = frozenset(("number", "letter"))
PLAIN_TOKENS = frozenset(
    (
        *(("operator", sign) for sign in "+-*/^!"),
        *(("name", name) for name in ("frac", "sqrt", "cdot", "pi", "binom", "sin", "cos", "tan", "ln", "log")),
        *(("open", "("), ("close", ")"), ("open", "{"), ("close", "}")),
    )
)
"""What stands in an expression and nowhere else."""
NO_WORD = re.compile(r"[^\w%/' -]")
ALL_BUT = re.compile(
    r"(all real numbers|all reals|real numbers),? (?:except|excluding|other than|but|but not)(?: for)?", re.I
)
DECIMAL = re.compile(r"-?[0-9]{1,300}(?:\.[0-9]{1,300})?")
REALS = ("all real numbers", "real numbers", "all reals")
EMPTY = ("no solution", "no solutions", "no real solution", "no real solutions", "empty set", "the empty set")
WORD_REGIONS = {**dict.fromkeys(REALS, "reals"), **dict.fromkeys(EMPTY, "empty")}


def parse_answer(text: str, thousands: bool = True) -> Answer:
    """The tree of a cleaned answer; `thousands`: read `1,234` outside brackets as one number.

    Raises:
        Refused: the text is not in the language.
    """
    if DECIMAL.fullmatch(text):
        node = read_number(text.lstrip("-"))
        return Scalar(negate(node) if text[0] == "-" else node)
    if thousands and "," in text:
        text = merge_thousands(text)
    tokens = tokenize(text)
    if ("name", "ldots") in tokens:
        tokens = with_counted(tokens)
    if not tokens:
        raise Refused("empty")
    return read_answer(without_idle_words(tokens), 0)


def read_answer(tokens: list[Token], nesting: int) -> Answer:
    if nesting > MAX_NESTING:
        raise Refused("nested too deep")
    if all(token in PLAIN_TOKENS or token[0] in PLAIN_KINDS for token in tokens):
        return plain_quantity(tokens)
    tokens = without_membership(with_restatement(unwrapped(tokens)))
    if not any(token in SEPARATORS for token in tokens):
        return read_list([tokens], nesting)[0]
    groups = split(tokens, lambda token: token == ("operator", ";"))
    if len(groups) == 1:
        groups = split(tokens, lambda token: token[0] == "join")
        if not all(is_group(group) for group in groups):
            groups = [tokens]
    if len(groups) > 1:
        return collect([read_group(group, nesting) for group in groups if group], False)
    items = comma_items(tokens)
    answers, bounds = take_trailing(read_list(items, nesting))
    if bounds:
        return with_conditions(answers[0] if len(answers) == 1 else collect(answers, False), bounds, False)
    return combined(answers, {value for kind, value in tokens if kind == "join"})


def read_list(items: list[list[Token]], nesting: int) -> list[Answer]:
    """Items with their conditions, which stand before one ("if n is odd, 2n") or behind one or several."""
    read = partial(read_answer, nesting=nesting + 1)
    answers: list[Answer] = []
    waiting: list[list[Token]] = []
    bare = 0  # where the items without a condition start
    for item in items:
        if len(items) > 1 and all(kind == "text" and phrases.between(text) for kind, text in item):
            continue
        value, condition = split_condition(item)
        if value:
            answer = read_item(value, nesting)
            for each in [*waiting, condition]:
                answer = conditioned(answer, each, read) if each else answer
            answers.append(answer)
            bare = len(answers) if waiting or condition else bare
            waiting = []
        elif bare < len(answers):
            answers[bare:] = [conditioned(answer, condition, read) for answer in answers[bare:]]
            bare = len(answers)
        else:
            waiting.append(condition)
    if waiting:
        raise Refused("a condition on nothing")
    return as_cases(answers)


def read_group(tokens: list[Token], nesting: int) -> Answer:
    """One group between semicolons: an item, or several that keep their order."""
    answers = read_list(comma_items(tokens), nesting)
    return answers[0] if len(answers) == 1 else make_sequence("(", ")", answers)


def read_item(tokens: list[Token], nesting: int) -> Answer:
    if not tokens:
        raise Refused("an empty item")
    tokens = labels.as_equation(with_restatement(unwrapped(tokens)))
    label, labelled = labels.split_label(tokens)
    if label:
        return Relation((Words(label), read_item(labelled, nesting)), ("=",))
    if operators := outside(tokens, RELATIONS):
        return read_relation(tokens, [RELATIONS[operator] for operator in operators], nesting)
    if combiners := outside(tokens, SET_OPERATORS):
        parts = split(tokens, lambda token: token[1] in SET_OPERATORS)
        if len(parts) <= len(combiners):
            raise Refused("brackets that cross")
        return Combination(tuple(read_item(part, nesting) for part in parts), tuple(combiners))
    if tokens[0][0] == "open" and closing_position(tokens) == len(tokens) - 1:
        bracketed = read_bracketed(tokens, nesting)
        if bracketed is not None:
            return bracketed
    if (transposed := read_transposed(tokens, nesting)) is not None:
        return transposed
    if len(tokens) == 1 and tokens[0][0] == "name" and tokens[0][1] in REGIONS:
        return Region(REGIONS[tokens[0][1]])
    if tokens[0][0] == "text" and len(tokens) > 1 and (but := ALL_BUT.fullmatch(tokens[0][1])):
        excluded = read_answer(tokens[1:], nesting + 1)
        values = excluded if isinstance(excluded, Collection) else Collection((excluded,))
        return Combination((read_words(but[1]), Collection(values.items, True)), ("setminus",))
    if all(kind == "text" for kind, _ in tokens):
        return read_words(" ".join(value for _, value in tokens))
    matrix = read_scaled_matrix(tokens, nesting)
    return quantity(tokens) if matrix is None else matrix


def read_relation(tokens: list[Token], operators: list[str], nesting: int) -> Answer:
    sides = split(tokens, lambda token: token[0] in ("operator", "name") and token[1] in RELATIONS)
    if len(sides) <= len(operators):
        raise Refused("brackets that cross")
    if not sides[0] and len(sides) == 2:
        return read_answer(sides[1], nesting + 1)
    if not all(sides):
        raise Refused("a relation without a side")
    parts = [
        Words(named) if not index and (named := name_of_something(side)) else read_answer(side, nesting + 1)
        for index, side in enumerate(sides)
    ]
    last = parts[-1]
    values = last.items if isinstance(last, Collection) and not last.is_set else ()
    if values and operators[-1] == "=" and not any(isinstance(value, Conditioned) for value in values):
        # x = 1 ± 2: one relation for each value
        return collect([Relation((*parts[:-1], value), tuple(operators)) for value in values], False)
    if values and operators == ["ne"]:
        excluded = [Relation((parts[0], value), ("ne",)) for value in values]
        return Combination(tuple(excluded), ("cap",) * (len(excluded) - 1))
    return Relation(tuple(parts), tuple(operators))


def read_bracketed(tokens: list[Token], nesting: int) -> Answer | None:
    """A tuple, interval, set or matrix; None for brackets round one expression."""
    opening, closing, inside = tokens[0][1], tokens[-1][1], tokens[1:-1]
    if opening.startswith("\\begin:"):
        return read_environment(opening.partition(":")[2], inside, nesting)
    if not inside:
        if opening in ("\\{", "{"):
            return Region("empty")
        raise Refused("empty brackets")
    items = split(inside, lambda token: token in (("operator", ","), ("operator", ";")) or token[0] == "join")
    if opening in ("\\{", "{"):
        if (condition := set_condition(inside)) is not None:
            return read_answer(condition, nesting + 1)
        if (whole := integers_condition(inside)) is not None:
            return integers_between(read_answer(whole, nesting + 1))
        if opening == "{" and len(items) == 1:
            return None
        return collect([read_answer(item, nesting + 1) for item in items if item], True)
    if len(items) == 1:
        return read_answer(inside, nesting + 1) if needs_answer(inside) else None
    tied = ("name", "mp") in inside
    return make_sequence(opening, closing, [read_answer(item, nesting + 1) for item in items], tied)


def read_environment(name: str, tokens: list[Token], nesting: int) -> Answer:
    rows = [row for row in split(tokens, lambda token: token == ("operator", "\\\\")) if row]
    if name in ("pmatrix", "bmatrix", "matrix", "array", "smallmatrix", "Bmatrix", "psmallmatrix"):
        cells = [split(row, lambda token: token == ("operator", "&")) for row in rows]
        return Matrix(tuple(tuple(read_answer(cell, nesting + 1) for cell in row) for row in cells))
    if name in LINES:
        return collect([read_line(row, nesting, name in CASES) for row in rows], False)
    raise Refused(f"environment {name!r}")


def read_line(tokens: list[Token], nesting: int, may_be_case: bool) -> Answer:
    """A line of an environment; what stands behind `&` in one of cases is its condition."""
    cells = [cell for cell in split(tokens, lambda token: token == ("operator", "&")) if cell]
    starts_relation = len(cells) < 2 or cells[1][0][1] in RELATIONS
    if may_be_case and len(cells) == 2 and not starts_relation and cells[1] not in ([("operator", ",")],):
        value, condition = (without_commas(cell) for cell in cells)
        return conditioned(read_answer(value, nesting + 1), condition, partial(read_answer, nesting=nesting + 1), True)
    return read_answer(without_commas([token for cell in cells for token in cell]), nesting + 1)


def read_words(text: str) -> Answer:
    plain = " ".join(NO_WORD.sub(" ", text).lower().split())
    if plain in WORD_REGIONS:
        return Region(WORD_REGIONS[plain])
    if plain in ("infinity", "positive infinity"):
        return Scalar(Node("constant", "infinity"))
    return Words(plain)


def read_transposed(tokens: list[Token], nesting: int) -> Answer | None:
    """A matrix or a tuple with a T above it."""
    plain = [token for token in tokens[-4:] if token not in (("open", "{"), ("close", "}"))]
    if len(tokens) < 4 or plain[-2:-1] != [("operator", "^")] or plain[-1] not in TRANSPOSED:
        return None
    end = len(tokens) - 1 - tokens[::-1].index(("operator", "^"))
    if tokens[end - 1][0] != "close" or closing_position(tokens[:end]) != end - 1:
        return None
    inside = read_item(tokens[:end], nesting + 1)
    if isinstance(inside, Matrix):
        return Matrix(tuple(zip(*inside.rows, strict=True))) if len({len(row) for row in inside.rows}) == 1 else None
    return inside if isinstance(inside, Sequence) else None


def read_scaled_matrix(tokens: list[Token], nesting: int) -> Matrix | None:
    """A matrix with a factor before it, or a factor or divisor behind it."""
    start = next((index for index, (_, value) in enumerate(tokens) if value.startswith("\\begin:")), None)
    if start is None or (length := closing_position(tokens[start:]) + 1) < 1:
        return None
    tail = tokens[start + length :]
    if not (start or tail) or (tail and tail[0][1] not in ("/", *TIMES)):
        return None
    matrix = read_item(tokens[start : start + length], nesting + 1)
    head = tokens[:start]
    while head and head[-1][1] in TIMES:
        head = head[:-1]
    if not head or head[-1] in (("operator", "-"), ("operator", "+")):
        head = [*head, ("number", "1")]
    factor = expression(head)
    if tail:
        factor = Node("divide" if tail[0][1] == "/" else "multiply", parts=(factor, expression(tail[1:])))
    if not isinstance(matrix, Matrix) or not all(isinstance(cell, Scalar) for row in matrix.rows for cell in row):
        return None
    return Matrix(
        tuple(
            tuple(Scalar(Node("multiply", parts=(factor, cell.node))) for cell in row if isinstance(cell, Scalar))
            for row in matrix.rows
        )
    )
