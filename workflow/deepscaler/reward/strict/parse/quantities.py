r"""From tokens to a quantity: an expression with a unit, a currency or words about it, a ratio, a numeral in a base."""

import re
from dataclasses import replace
from itertools import product

from deepscaler.reward.strict.parse.brackets import closing_position, split
from deepscaler.reward.strict.parse.commands import COMMANDS
from deepscaler.reward.strict.parse.parser import ExpressionParser
from deepscaler.reward.strict.parse.tokens import Token
from deepscaler.reward.strict.parse.units import split_unit
from deepscaler.reward.strict.text import phrases
from deepscaler.reward.strict.tree import (
    Answer,
    Based,
    Collection,
    Conditioned,
    Node,
    Ratio,
    Scalar,
    Words,
    negate,
    walk,
)
from deepscaler.reward.verdicts import Refused

DIGIT = re.compile(r"[0-9]")
ROUNDING = re.compile(
    r"\(?(?:(?:rounded|correct|accurate)? ?(?:to|up to) )?(?:the nearest )?[0-9]{1,6}"
    r"(?: ?(?:decimals?(?: places?| digits?)?|d\.?p\.?|s\.?f\.?|significant (?:figures?|digits?)))?\)?",
    re.I,
)
"""Words with digits that say nothing about a value but how it was rounded."""
LETTER_NUMERAL = re.compile(r"((?=[A-Fa-f]*[0-9])[0-9A-Fa-f]++|[A-F]{2,})_(1[1-6])")
UNIT_POWER = re.compile(r"\^ *\{?-?[0-9]\}?|[0-9]$")
UNIT_VALUES = frozenset(("^", "{", "}", "-", "/", "*", "cdot", "2", "3", "1"))
EXPONENT_STARTS = frozenset(("^", "{", "/", "*", "cdot"))
"""What a number within a unit stands behind."""
MAX_SIGNS = 3
MODULI = frozenset((("name", "pmod"), ("name", "bmod"), ("name", "mod")))
SIGNS = frozenset((("name", "pm"), ("name", "mp")))
VALUE = "_"
"""Where the value stands among words that are a part of the answer."""
OPENINGS = frozenset((("open", "("), ("open", "[")))
CURRENCIES: dict[Token, str] = {("operator", sign): sign.replace("¤", "$") for sign in "¤€£¥"}


def quantity(tokens: list[Token]) -> Answer:
    """What tokens without list, relation or bracket round them stand for.

    Raises:
        Refused: they are not in the language.
    """
    money = next((CURRENCIES[token] for token in tokens if token in CURRENCIES), "")
    if money:
        tokens = [token for token in tokens if token not in CURRENCIES]
    if (numeral := read_numeral(tokens)) is not None:
        return numeral
    if ("operator", ":") in tokens:
        parts = split(tokens, lambda token: token == ("operator", ":"))
        if len(parts) > 1 and all(parts):
            return Ratio(tuple(map(expression, parts)))
    tokens, remarks = without_words_before(tokens)
    tokens, unit = split_unit(tokens)
    more: list[str] = []
    if not unit:
        tokens, unit, more = without_unit(tokens)
    if not tokens:
        raise Refused("a unit alone")
    node = expression(tokens)
    unit = unit or money
    if unit in ("%", "percent"):
        node, unit = Node("percent", parts=(node,)), ""
    value: Answer = Scalar(node, unit)
    if any(token in SIGNS for token in tokens):
        value = Collection(tuple(Scalar(each, unit) for each in with_signs(node)))
    remarks += more
    return Conditioned(value, tuple(map(Words, remarks)), restricts=True) if remarks else value


def plain_quantity(tokens: list[Token]) -> Answer:
    """What tokens without words, marks and signs stand for: a numeral in a base or an expression."""
    return read_numeral(tokens) or Scalar(expression(tokens))


def expression(tokens: list[Token]) -> Node:
    """The tree of tokens that are one expression and nothing else.

    Raises:
        Refused: they are not.
    """
    parser = ExpressionParser(tokens, COMMANDS)
    node = parser.braced()
    if parser.peek()[0] != "end":
        raise Refused(f"{parser.peek()[1]!r} out of place")
    return node


def read_numeral(tokens: list[Token]) -> Based | None:
    """`1011_2`, `(1011)_2` and `2A_{16}`."""
    bare = [token for token in tokens if token[1] not in ("(", ")", "{", "}")] if len(tokens) < 8 else []
    if len(bare) == 2 and bare[0][0] == "number" and bare[1][0] == "base":
        return Based(bare[0][1], bare[1][1])
    if len(bare) == 3 and [kind for kind, _ in bare] == ["number", "operator", "number"] and bare[1][1] == "_":
        return Based(bare[0][1], bare[2][1])
    spelling = "".join(value for kind, value in tokens if kind in ("number", "letter"))
    if (match := LETTER_NUMERAL.fullmatch(spelling)) and all(kind in ("number", "letter") for kind, _ in tokens):
        return Based(match[1].upper(), match[2])
    return None


def without_words_before(tokens: list[Token]) -> tuple[list[Token], list[str]]:
    """The tokens behind the words that they open with, and the words if they are a part of the answer."""
    start = next((position for position, (kind, _) in enumerate(tokens) if kind != "text"), len(tokens))
    phrase = " ".join(value for _, value in tokens[:start])
    if DIGIT.search(phrase):
        raise Refused("digits in the words before the mathematics")
    return tokens[start:], [f"{remark(phrase)} {VALUE}"] if phrase.strip() and phrases.before(phrase) != "idle" else []


def without_unit(tokens: list[Token]) -> tuple[list[Token], str, list[str]]:
    """The tokens before the first text; the unit, which is text and exponents to the end; words that are no unit.

    Raises:
        Refused: the text holds a digit, or more mathematics follows it.
    """
    start = next((position for position, (kind, _) in enumerate(tokens) if kind == "text"), None)
    if start is None:
        return (*without_modulus(tokens), [])
    end = len(tokens)
    if start and tokens[start - 1] in OPENINGS and closing_position(tokens[start - 1 :]) == end - start:
        start, end = start - 1, end - 1  # words in brackets
    unit, words = "", []
    for position in range(start, end):
        kind, value = tokens[position]
        if kind == "number" and not is_exponent(tokens, position):
            raise Refused("a number behind words")
        if kind == "text":
            plain = UNIT_POWER.sub("", value)
            if DIGIT.search(plain):
                if ROUNDING.fullmatch(value):
                    continue
                raise Refused("digits in the words behind")
            unit += " " + value
            words.append(plain)
        elif value in UNIT_VALUES or kind == "letter":
            unit += value if value not in ("{", "}") else ""
        elif (kind, value) not in OPENINGS:
            raise Refused("mathematics behind words")
    number, unit = tokens[:start], " ".join(unit.split())
    match phrases.behind(" ".join(words)):
        case "idle":
            return number, "", []
        case "unit":
            return number, unit.lower(), []
        case _:
            return number, "", [f"{VALUE} {remark(unit)}"]


def is_exponent(tokens: list[Token], position: int) -> bool:
    """Whether a number among a unit's tokens belongs to it; `5 \\text{ pairs} - 1` is a difference."""
    before = [value for _, value in tokens[max(position - 2, 0) : position]]
    return before[0] in ("^", "{") if before[-1] == "-" else before[-1] in EXPONENT_STARTS


def remark(phrase: str) -> str:
    """Words in one spelling."""
    return " ".join(phrase.lower().strip(" .,:;()[]").split())


def without_modulus(tokens: list[Token]) -> tuple[list[Token], str]:
    """The modulus at the end, which says what the number is a residue of."""
    for position in range(1, len(tokens)):
        bracketed = tokens[position] == ("open", "(") and tokens[position + 1 : position + 2]
        if tokens[position] == ("name", "pmod") or (bracketed and bracketed[0] in MODULI):
            return tokens[:position], "mod " + plainly(tokens[position:])
    return tokens, ""


def plainly(tokens: list[Token]) -> str:
    """A modulus without brackets and the word before it."""
    return "".join(value for kind, value in tokens if kind not in ("open", "close") and (kind, value) not in MODULI)


def with_signs(node: Node) -> list[Node]:
    r"""The values of an expression with ±: any combination of signs, or two where ∓ ties them together.

    Raises:
        Refused: there are too many signs.
    """
    signs = [each.name for each in walk(node) if each.kind == "plusminus"]
    if "-" in signs:
        return [with_sign(node, sign) for sign in "+-"]
    if len(signs) > MAX_SIGNS:
        raise Refused("too many signs")
    return free_signs(node)


def free_signs(node: Node) -> list[Node]:
    if not node.parts:
        return [node]
    choices = [replace(node, parts=parts) for parts in product(*map(free_signs, node.parts))]
    if node.kind != "plusminus":
        return choices
    return [sign for choice in choices for sign in (choice.parts[0], negate(choice.parts[0]))]


def with_sign(node: Node, sign: str) -> Node:
    r"""The expression with every ± as `sign`, and every ∓ as the other."""
    if node.kind == "plusminus":
        inner = with_sign(node.parts[0], sign)
        return inner if node.name == sign else negate(inner)
    if not node.parts:
        return node
    return Node(node.kind, node.name, tuple(with_sign(part, sign) for part in node.parts))
