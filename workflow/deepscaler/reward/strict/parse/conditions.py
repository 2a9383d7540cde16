r"""What an answer holds for: `f(x) = 2x for all x > 0`, `k\pi, k \in \mathbb{Z}`, `n if n is odd`, `2n - 2 (n \ge 2)`.

A domain is what a reader supposes where nothing is said (membership, a bound, "for any integer k"); it may be left out.
A case restricts: everything that stands behind "if", every word that names no kind of number, every row of cases.
"""

import re
from collections.abc import Callable, Iterable

from deepscaler.reward.strict.parse.brackets import closing_position, outside, split
from deepscaler.reward.strict.parse.tokens import Token
from deepscaler.reward.strict.text.phrases import vocabulary
from deepscaler.reward.strict.tree import (
    Answer,
    Collection,
    Combination,
    Conditioned,
    Matrix,
    Node,
    Ratio,
    Relation,
    Scalar,
    Sequence,
    Words,
    symbols,
)
from deepscaler.reward.verdicts import Refused

Read = Callable[[list[Token]], Answer]

MARKER = re.compile(
    r"\W*(?:for|if|when|whenever|where|with|such that|so that|provided|given|assuming|as long as|otherwise|else|"
    r"s\.t\.?|on|[a-z] (?:is |are )?(?:an? )?"
    r"(?:odd|even|prime|composite|integer|positive|negative|nonzero|real|natural|constant))"
    r"(?![A-Za-z])",
    re.I,
)
EXPLANATION = re.compile(r"\W*(?:since|because|as|by|using|from)(?![A-Za-z])", re.I)
CASE = re.compile(r"\W*(?:if|otherwise|else|only|iff)(?![A-Za-z])", re.I)
CONDITIONS = re.compile(r"\b(?:for|when|whenever|if|only|provided|assuming)\b", re.I)
OTHERWISE = re.compile(r"\W*(?:otherwise|else|(?:in |for )?all other cases|elsewhere)\W*", re.I)
FILLERS = vocabulary(
    "for if when whenever where with such that so provided given assuming as long all any every each some is are be "
    "the a an in on of it holds and let s t denotes here only arbitrary other"
)
KINDS = vocabulary(
    "integer integers int real reals number numbers natural naturals positive nonnegative negative nonzero non whole "
    "rational rationals complex constant constants parameter parameters variable variables value values zero "
    "free fixed function functions"
)
WORD = re.compile(r"[A-Za-z]+")
QUANTIFIERS = frozenset((("letter", "\\forall"), ("letter", "\\exists")))
COMPARISONS = frozenset(("<", ">", "le", "ge", "ne", "in", "notin", "subset", "subseteq"))
RELATIONS = COMPARISONS | {"="}
BRACKETS = frozenset((("open", "("), ("open", "[")))


def split_condition(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """What stands before a condition, and the condition; either may be empty."""
    may_be_in_brackets = tokens[-1][0] == "close" and not COMPARISONS.isdisjoint([value for _, value in tokens])
    if not may_be_in_brackets and QUANTIFIERS.isdisjoint(tokens) and all(kind != "text" for kind, _ in tokens):
        return tokens, []
    depth = 0
    for position, token in enumerate(tokens):
        kind, value = token
        if depth == 0:
            if position and kind == "text" and EXPLANATION.match(value) and explains(tokens[position:]):
                return tokens[:position], []
            if token in QUANTIFIERS or (kind == "text" and MARKER.match(value)):
                return tokens[:position], tokens[position:]
            if position and token in BRACKETS and closing_position(tokens[position:]) == len(tokens) - position - 1:
                inside = tokens[position + 1 : -1]
                if is_condition(inside):
                    return tokens[:position], inside
        depth += (kind == "open") - (kind == "close")
    return tokens, []


def explains(tokens: list[Token]) -> bool:
    """Whether what opens with "since", "by" or "from" is more than a number, as in `5 \\text{ from } 30`."""
    behind = tokens[1:]
    is_formula = any(kind in ("letter", "text", "open") or value in RELATIONS for kind, value in behind)
    return is_formula or (bool(behind) and len(tokens[0][1].split()) > 1)


def with_counted(tokens: list[Token]) -> list[Token]:
    r"""`for n = 1, 2, 3, \ldots` as `for n \in \mathbb{N}`."""
    for position, token in enumerate(tokens[:-4]):
        if token[0] == "text" and MARKER.match(token[1]) and tokens[position + 2] == ("operator", "="):
            listed = tokens[position + 3 :]
            counts = all(kind == "number" or value in (",", "ldots") for kind, value in listed)
            if tokens[position + 1][0] == "letter" and counts:
                return [*tokens[: position + 2], ("name", "in"), ("name", "setN")]
    return tokens


def is_condition(tokens: list[Token]) -> bool:
    """Whether what stands in brackets behind something can only be a condition on it."""
    if not tokens:
        return False
    if tokens[0] in QUANTIFIERS or (tokens[0][0] == "text" and bool(MARKER.match(tokens[0][1]))):
        return True
    if not COMPARISONS.isdisjoint(outside(tokens, RELATIONS)):
        return True
    return any(kind == "letter" for kind, _ in tokens) and any(kind == "text" for kind, _ in tokens)  # (n odd)


def conditioned(value: Answer, condition: list[Token], read: Read, is_case: bool = False) -> Answer:
    """The value under a condition that is not read yet; a definition (`where a = 2`) is put in."""
    restricts = is_case or any(kind == "text" and CASE.match(text) for kind, text in condition)
    found: list[Answer] = []
    for part in split(condition, lambda token: token == ("operator", ",") or token == ("join", "and")):
        name, meaning = definition(part, read) if not restricts else ("", None)
        if meaning is not None:
            value = substituted(value, name, meaning)
            continue
        answer, narrows = read_condition(part, read)
        restricts |= narrows
        if answer is not None:
            found.append(answer)
    return with_conditions(value, found, restricts)


def with_conditions(value: Answer, conditions: Iterable[Answer], restricts: bool) -> Answer:
    """The value under conditions; a set of numbers under conditions on its numbers is their intersection."""
    several = tuple(conditions)
    if not several:
        return value
    if is_set(value) and all(isinstance(each, Relation) for each in several):
        return Combination((value, *several), ("cap",) * len(several))
    if isinstance(value, Conditioned):
        return Conditioned(value.value, (*value.conditions, *several), value.restricts or restricts)
    return Conditioned(value, several, restricts)


def is_set(value: Answer) -> bool:
    """Whether an answer is a condition itself, as `0 < x < 1` is, so that another one adds to it."""
    if isinstance(value, Combination):
        return True
    return isinstance(value, Relation) and not COMPARISONS.isdisjoint(value.operators)


def read_condition(tokens: list[Token], read: Read) -> tuple[Answer | None, bool]:
    """A condition's meaning, None where it says nothing, and whether it narrows more than a domain does."""
    if all(kind == "text" for kind, _ in tokens) and OTHERWISE.fullmatch(" ".join(text for _, text in tokens)):
        return Words("otherwise"), True
    words = [word for kind, text in tokens if kind == "text" for word in WORD.findall(text)]
    telling = [word.lower() for word in words if word.lower() not in FILLERS and len(word) > 1]
    plain = [token for token in tokens if token[0] != "text" and token not in QUANTIFIERS]
    if not plain:
        plain = [("letter", word) for word in words if len(word) == 1 and word.lower() not in FILLERS]
    operators = set(outside(plain, RELATIONS))
    is_domain = operators <= COMPARISONS and all(word in KINDS for word in telling)
    if operators:
        relation = read_relation(plain, read)
        if relation is not None and not telling:
            return relation, not is_domain
        return Words(spelled(plain, telling)), not is_domain
    if not telling and not any(kind not in ("letter", "join") for kind, _ in plain):
        return None, False  # "for all x"
    return Words(spelled(plain, telling)), not is_domain or any(kind == "number" for kind, _ in plain)


def read_relation(tokens: list[Token], read: Read) -> Answer | None:
    try:
        return read(tokens)
    except Refused:
        return None


def spelled(tokens: list[Token], words: list[str]) -> str:
    """A condition in words: its symbols, then what is said of them, in alphabetical order."""
    return " ".join([*(value for _, value in tokens), "|", *sorted(words)])


def definition(tokens: list[Token], read: Read) -> tuple[str, Node | None]:
    r"""The name and the value of `where \phi = \frac{1+\sqrt5}{2}`."""
    if any(kind == "text" and CONDITIONS.search(text) for kind, text in tokens):
        return "", None  # "for n = 1 only" defines nothing
    plain = [token for token in tokens if token[0] != "text"]
    if len(plain) < 3 or plain[0][0] != "letter" or outside(plain, RELATIONS) != ["="] or plain[1][1] != "=":
        return "", None
    value = read_relation(plain[2:], read)
    if not isinstance(value, Scalar) or value.unit or plain[0][1] in symbols(value.node):
        return "", None
    return plain[0][1], value.node


def substituted(answer: Answer, name: str, meaning: Node) -> Answer:
    """An answer with an expression for one of its symbols."""

    def inside(part: Answer) -> Answer:
        return substituted(part, name, meaning)

    match answer:
        case Scalar():
            return Scalar(replaced(answer.node, name, meaning), answer.unit)
        case Sequence():
            return Sequence(answer.opening, answer.closing, tuple(map(inside, answer.items)))
        case Collection():
            return Collection(tuple(map(inside, answer.items)), answer.is_set)
        case Relation():
            return Relation((answer.sides[0], *map(inside, answer.sides[1:])), answer.operators)
        case Matrix():
            return Matrix(tuple(tuple(map(inside, row)) for row in answer.rows))
        case Ratio():
            return Ratio(tuple(replaced(part, name, meaning) for part in answer.parts))
    return answer


def replaced(node: Node, name: str, meaning: Node) -> Node:
    if node.kind == "symbol":
        return meaning if node.name == name else node
    if not node.parts:
        return node
    parts = tuple(replaced(part, name, meaning) for part in node.parts)
    return Node(node.kind, node.name, parts, node.number, node.digits, node.ulp)


def take_trailing(answers: list[Answer]) -> tuple[list[Answer], list[Answer]]:
    r"""Answers, and the relations behind them that only bound their symbols, as in `2k\pi, k \in \mathbb{Z}`."""
    end = len(answers)
    while end > 1 and is_bound(answers[end - 1]):
        end -= 1
    values, bounds = answers[:end], answers[end:]
    if not bounds or any(is_set(value) for value in values):
        return answers, []
    known = set().union(*map(free_symbols, values))
    return (values, bounds) if all(known & free_symbols(bound) for bound in bounds) else (answers, [])


def is_bound(answer: Answer) -> bool:
    return isinstance(answer, Relation) and set(answer.operators) <= {"<", ">", "le", "ge", "ne", "in"}


def free_symbols(answer: Answer) -> set[str]:
    """The symbols of an answer, but for the names that it gives values to."""
    match answer:
        case Scalar():
            return symbols(answer.node)
        case Relation():
            sides = answer.sides[1:] if answer.operators[0] == "=" else answer.sides
            return set().union(*map(free_symbols, sides))
        case Sequence() | Collection():
            return set().union(*map(free_symbols, answer.items))
        case Matrix():
            return set().union(*(free_symbols(cell) for row in answer.rows for cell in row))
        case Conditioned():
            return free_symbols(answer.value)
    return set()
