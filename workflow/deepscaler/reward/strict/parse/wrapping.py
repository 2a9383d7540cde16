"""What wraps an answer, repeats it or says nothing about it, taken off its tokens; what stands within brackets."""

import re

from deepscaler.reward.strict.parse.brackets import closing_position, split
from deepscaler.reward.strict.parse.tokens import Token
from deepscaler.reward.strict.text import phrases
from deepscaler.reward.verdicts import Refused

MAX_ITEMS = 200
RELATIONS = {"=": "=", "<": "<", ">": ">", "le": "le", "ge": "ge", "ne": "ne", "in": "in", "approx": "approx"}
RELATIONS |= {"subset": "in", "subseteq": "in", "sim": "approx", "ll": "<", "gg": ">"}
INTEGERS = [[("name", "in"), ("name", "setZ")]]
INFIX = {("name", "choose"), ("name", "over")}
HALF_OPEN = frozenset(
    ((("open", "("), ("close", "]")), (("open", "["), ("close", ")"))),
)
RESTATING = frozenset((("name", "approx"), ("operator", "="), ("join", "or")))
UNNAMEABLE = frozenset(("|", "cap", "cup", "<", ">", "le", "ge", "=", "setminus"))
"""What may stand in the brackets of a probability or a count."""
SET_OPERATORS = ("cup", "cap", "setminus")
CASES = frozenset(("cases", "dcases", "rcases"))
LINES = CASES | {"aligned", "align", "gathered", "split", "equation"}
OPEN_ENVIRONMENTS = frozenset(f"\\begin:{name}" for name in (*LINES, "array", "matrix"))
THOUSANDS = re.compile(r"(?<![0-9.,])([0-9]{1,3}(?:,[0-9]{3})+)(?![0-9,])")


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


def needs_answer(tokens: list[Token]) -> bool:
    """Whether what stands in brackets is more than an expression."""
    return any(value in RELATIONS or value in SET_OPERATORS or value.startswith("\\begin") for _, value in tokens)


def without_commas(tokens: list[Token]) -> list[Token]:
    """Tokens without the marks that end a line of text."""
    while tokens and tokens[-1] in (("operator", ","), ("operator", ";"), ("operator", ".")):
        tokens = tokens[:-1]
    return tokens


def with_restatement(tokens: list[Token]) -> list[Token]:
    r"""`\sqrt2 (\approx 1.41)`, `\frac34 (= 0.75)` and `\frac34 (or 0.75)` without the brackets."""
    if len(tokens) < 4 or tokens[-1] != ("close", ")") or RESTATING.isdisjoint(tokens):
        return tokens
    start = next((at for at, token in enumerate(tokens) if token == ("open", "(") and tokens[at + 1] in RESTATING), 0)
    if start and closing_position(tokens[start:]) == len(tokens) - start - 1:
        return tokens[:start] + tokens[start + 1 : -1]
    return tokens
