r"""From tokens to the tree of a whole answer: lists, tuples, intervals, sets, relations, matrices, units, words.

Separators bind as people write them: a semicolon, then "and"/"or" between groups, then commas; within an item a
relation (`x = 3`, `0 < x \le 5`), then unions of sets, then brackets, then an expression with a unit behind it.
"""

import re
from dataclasses import replace
from functools import partial
from itertools import product
from math import prod

from deepscaler.reward.strict.parse import labels
from deepscaler.reward.strict.parse.brackets import closing_position, outside, split
from deepscaler.reward.strict.parse.conditions import (
    conditioned,
    free_symbols,
    is_bound,
    split_condition,
    take_trailing,
    with_conditions,
    with_counted,
)
from deepscaler.reward.strict.parse.numerals import read_number
from deepscaler.reward.strict.parse.quantities import expression, plain_quantity, quantity
from deepscaler.reward.strict.parse.tokens import Token, tokenize
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
    number,
)
from deepscaler.reward.verdicts import Refused

MAX_ITEMS = 200
MAX_NESTING = 12
RELATIONS = {"=": "=", "<": "<", ">": ">", "le": "le", "ge": "ge", "ne": "ne", "in": "in", "approx": "approx"}
RELATIONS |= {"subset": "in", "subseteq": "in", "sim": "approx", "ll": "<", "gg": ">"}
INTEGERS = [[("name", "in"), ("name", "setZ")]]
INEQUALITIES = frozenset(("<", ">", "le", "ge", "ne"))
SEPARATORS = frozenset((("operator", ","), ("operator", ";"), ("join", "and"), ("join", "or")))
INFIX = {("name", "choose"), ("name", "over")}
HALF_OPEN = frozenset(
    ((("open", "("), ("close", "]")), (("open", "["), ("close", ")"))),
)
TIMES = ("cdot", "*")
RESTATING = frozenset((("name", "approx"), ("operator", "="), ("join", "or")))
TRANSPOSED = frozenset((("letter", "T"), ("letter", "\\top"), ("letter", "\\intercal")))
UNNAMEABLE = frozenset(("|", "cap", "cup", "<", ">", "le", "ge", "=", "setminus"))
"""What may stand in the brackets of a probability or a count."""
SET_OPERATORS = ("cup", "cap", "setminus")
REGIONS = {
    **{"setR": "reals", "setZ": "integers", "setN": "naturals", "setQ": "rationals", "setC": "complex"},
    **{"emptyset": "empty"},
}
CASES = frozenset(("cases", "dcases", "rcases"))
LINES = CASES | {"aligned", "align", "gathered", "split", "equation"}
OPEN_ENVIRONMENTS = frozenset(f"\\begin:{name}" for name in (*LINES, "array", "matrix"))
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
THOUSANDS = re.compile(r"(?<![0-9.,])([0-9]{1,3}(?:,[0-9]{3})+)(?![0-9,])")
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


def without_idle_words(tokens: list[Token]) -> list[Token]:
    """Tokens without the words at either end that say nothing, unless all are words."""
    start, end = 0, len(tokens)
    while start < end and tokens[start][0] == "text" and phrases.says_nothing(tokens[start][1], phrases.before):
        start += 1
    while end > start and tokens[end - 1][0] == "text" and phrases.says_nothing(tokens[end - 1][1], phrases.behind):
        end -= 1
    inside = tokens[start:end]
    return inside if any(kind != "text" for kind, _ in inside) else tokens


def has_thousands(text: str) -> bool:
    """Whether reading thousands' separators changes the text."""
    return "," in text and merge_thousands(text) != text


def merge_thousands(text: str) -> str:
    """`1,234` to `1234`, outside brackets only: `(1,234)` is a pair."""

    def merge(match: re.Match[str]) -> str:
        before = text[: match.start()]
        depth = sum(before.count(c) for c in "([{") - sum(before.count(c) for c in ")]}")
        return match.group() if depth > 0 else match.group().replace(",", "")

    return THOUSANDS.sub(merge, text)


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


def combined(answers: list[Answer], joins: set[str]) -> Answer:
    """Items between commas, "and" or "or": one set where they are conditions on one unknown, else a list."""
    if len(answers) == 1:
        return answers[0]
    if len(joins) == 1 and are_conditions(answers):
        operator = "cup" if joins == {"or"} else "cap"
        return Combination(tuple(answers), (operator,) * (len(answers) - 1))
    first, *others = answers
    if isinstance(first, Relation) and first.operators == ("ne",) and all(isinstance(a, Scalar) for a in others):
        excluded = [Relation((first.sides[0], value), ("ne",)) for value in others]
        return Combination((first, *excluded), ("cap",) * len(excluded))
    if not joins and are_about_one_unknown(answers):
        return Combination(tuple(answers), ("comma",) * (len(answers) - 1))
    return collect(answers, False)


def are_about_one_unknown(answers: list[Answer]) -> bool:
    r"""Whether conditions between commas bound one symbol, as in `0<x<36, x \ne 9`; the first may be an interval."""
    first, *others = answers
    if not all(map(is_bound, others)):
        return False
    unknowns = set().union(*map(free_symbols, others))
    if isinstance(first, Relation):
        return is_bound(first) and are_conditions(answers) and len(unknowns | free_symbols(first)) == 1
    is_interval = isinstance(first, Combination | Region) or (isinstance(first, Sequence) and len(first.items) == 2)
    return is_interval and len(unknowns) == 1 and all(other.operators == ("ne",) for other in others)  # type: ignore[union-attr]


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


def as_cases(answers: list[Answer]) -> list[Answer]:
    """Answers that stand under different bounds are the cases of one."""
    if len(answers) < 2:
        return answers
    bounded = [each for each in answers if isinstance(each, Conditioned) and any(map(is_inequality, each.conditions))]
    if len(bounded) < 2 or all(each.conditions == bounded[0].conditions for each in bounded):
        return answers
    return [replace(each, restricts=True) if isinstance(each, Conditioned) else each for each in answers]


def is_inequality(answer: Answer) -> bool:
    return is_bound(answer) and answer.operators != ("in",)  # type: ignore[union-attr]


def are_conditions(answers: list[Answer]) -> bool:
    """Whether all are relations, an inequality among them: `x<0` or `x=1`."""
    operators = [operator for answer in answers if isinstance(answer, Relation) for operator in answer.operators]
    plain = all(isinstance(answer, Relation) for answer in answers) and "approx" not in operators
    return plain and any(operator in INEQUALITIES for operator in operators)


def unwrapped(tokens: list[Token]) -> list[Token]:
    """Without braces or square brackets that only wrap the whole, as round a matrix."""
    while len(tokens) > 2 and tokens[0] == ("open", "{") and closing_position(tokens) == len(tokens) - 1:
        inside = tokens[1:-1]
        if len(comma_items(inside)) > 1 or INFIX & set(inside):
            break
        tokens = inside
    wraps_environment = len(tokens) > 4 and tokens[0][1] in ("(", "[") and tokens[1][1].startswith("\\begin:")
    if wraps_environment and closing_position(tokens[1:-1]) == len(tokens) - 3:
        return tokens[1:-1]
    has_brace = len(tokens) > 3 and tokens[0] == ("open", "\\{") and tokens[1][1] in OPEN_ENVIRONMENTS
    if has_brace and closing_position(tokens) < 0 and closing_position(tokens[1:]) == len(tokens) - 2:
        return [("open", "\\begin:cases"), *tokens[2:]]  # a brace on the left of several lines
    return tokens


def without_membership(tokens: list[Token]) -> list[Token]:
    r"""`x \in 1,2` is the list 1, 2; `t(0,4]` an interval whose sign was lost."""
    is_half_open = len(tokens) > 2 and tokens[0][0] == "letter" and (tokens[1], tokens[-1]) in HALF_OPEN
    if is_half_open and closing_position(tokens[1:]) == len(tokens) - 2:
        return tokens[1:]
    if len(tokens) > 2 and tokens[0][0] == "letter" and tokens[1] == ("name", "in"):
        return tokens[2:]
    return tokens


def is_group(tokens: list[Token]) -> bool:
    """Whether a part between and/or is itself a list of assignments, as in `p=5, q=2 and p=7, q=2`."""
    items = comma_items(tokens)
    return len(items) > 1 and all(("operator", "=") in item for item in items)


def comma_items(tokens: list[Token]) -> list[list[Token]]:
    items = split(tokens, lambda token: token == ("operator", ",") or token[0] == "join")
    items = [item for item in items if item]
    if len(items) > MAX_ITEMS:
        raise Refused("too many items")
    return items or [tokens]


def read_group(tokens: list[Token], nesting: int) -> Answer:
    """One group between semicolons: an item, or several that keep their order."""
    answers = read_list(comma_items(tokens), nesting)
    return answers[0] if len(answers) == 1 else make_sequence("(", ")", answers)


def collect(items: list[Answer], is_set: bool) -> Collection:
    r"""A collection in which inner bare lists, those of ± too, are replaced by their items.

    Raises:
        Refused: there are none, as in `;`.
    """
    if not items:
        raise Refused("a list of nothing")
    spread: list[Answer] = []
    for item in items:
        if isinstance(item, Collection) and not item.is_set:
            spread.extend(item.items)
        else:
            spread.append(item)
    return Collection(tuple(spread), is_set)


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


def name_of_something(side: list[Token]) -> str:
    r"""The spelling of a name before brackets that hold no expression: `P(A|B)`, `n(A \cap B)`; empty for all else."""
    if (
        len(side) < 4
        or side[0][0] != "letter"
        or side[1] != ("open", "(")
        or closing_position(side[1:]) != len(side) - 2
    ):
        return ""
    values = [value for _, value in side]
    return "".join(values) if UNNAMEABLE.intersection(values[2:]) else ""


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


def set_condition(tokens: list[Token]) -> list[Token] | None:
    r"""What stands behind the bar or colon of `\{x \mid x > 3\}` and `\{x \in \mathbb{R} : x > 3\}`."""
    if tokens[0][0] == "letter":
        start = 3 if tokens[1:3] == [("name", "in"), ("name", "setR")] else 1
        if tokens[start : start + 1] in ([("operator", "|")], [("operator", ":")]) and len(tokens) > start + 1:
            return tokens[start + 1 :]
    return None


def integers_condition(tokens: list[Token]) -> list[Token] | None:
    r"""What stands behind the bar or colon of `\{n \in \mathbb{Z} : 0 < n < 4\}`."""
    if [kind for kind, _ in tokens[:1]] != ["letter"] or tokens[1:3] not in INTEGERS:
        return None
    return tokens[4:] if tokens[3:4] in ([("operator", "|")], [("operator", ":")]) else None


def integers_between(condition: Answer) -> Answer:
    """The whole numbers between two bounds, as a set.

    Raises:
        Refused: the condition is another one.
    """
    if isinstance(condition, Relation) and len(condition.sides) == 3 and set(condition.operators) <= {"<", "le"}:
        low, unknown, high = (side.node if isinstance(side, Scalar) else Node("none") for side in condition.sides)
        ends = [whole_number(low), whole_number(high)]
        if unknown.kind == "symbol" and ends[0] is not None and ends[1] is not None:
            first, last = ends[0] + (condition.operators[0] == "<"), ends[1] - (condition.operators[1] == "<")
            if 0 <= last - first < MAX_ITEMS:
                return Collection(tuple(Scalar(number(each)) for each in range(first, last + 1)), True)
    raise Refused("a set of whole numbers")


def whole_number(node: Node) -> int | None:
    if node.kind == "negate" and (value := whole_number(node.parts[0])) is not None:
        return -value
    return int(node.number) if node.kind == "number" and node.number.denominator == 1 else None


def make_sequence(opening: str, closing: str, items: list[Answer], tied: bool = False) -> Answer:
    r"""A tuple; several where items have both signs: every combination, or with ∓ among them (`tied`) one a sign."""
    double = [item.items for item in items if isinstance(item, Collection) and not item.is_set]
    if not double:
        return Sequence(opening, closing, tuple(items))
    choices = [item.items if isinstance(item, Collection) and not item.is_set else (item,) for item in items]
    if tied:
        choices = [each * (max(map(len, double)) // len(each)) for each in choices]
    elif prod(map(len, double)) > MAX_ITEMS:
        raise Refused("too many items")
    several = zip(*choices, strict=False) if tied else product(*choices)
    return Collection(tuple(Sequence(opening, closing, tuple(each)) for each in several))


def needs_answer(tokens: list[Token]) -> bool:
    """Whether what stands in brackets is more than an expression."""
    return any(value in RELATIONS or value in SET_OPERATORS or value.startswith("\\begin") for _, value in tokens)


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


def without_commas(tokens: list[Token]) -> list[Token]:
    """Tokens without the marks that end a line of text."""
    while tokens and tokens[-1] in (("operator", ","), ("operator", ";"), ("operator", ".")):
        tokens = tokens[:-1]
    return tokens


def read_words(text: str) -> Answer:
    plain = " ".join(NO_WORD.sub(" ", text).lower().split())
    if plain in WORD_REGIONS:
        return Region(WORD_REGIONS[plain])
    return Words(plain)


def with_restatement(tokens: list[Token]) -> list[Token]:
    r"""`\sqrt2 (\approx 1.41)`, `\frac34 (= 0.75)` and `\frac34 (or 0.75)` without the brackets."""
    if len(tokens) < 4 or tokens[-1] != ("close", ")") or RESTATING.isdisjoint(tokens):
        return tokens
    start = next((at for at, token in enumerate(tokens) if token == ("open", "(") and tokens[at + 1] in RESTATING), 0)
    if start and closing_position(tokens[start:]) == len(tokens) - start - 1:
        return tokens[:start] + tokens[start + 1 : -1]
    return tokens


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
