r"""From tokens to a quantity: an expression with a unit, a currency or words about it, a ratio, a numeral in a base."""

import re

from deepscaler.reward.strict.parse.brackets import split
from deepscaler.reward.strict.parse.commands import COMMANDS
from deepscaler.reward.strict.parse.parser import ExpressionParser
from deepscaler.reward.strict.parse.tokens import Token
from deepscaler.reward.strict.tree import Answer, Based, Collection, Node, Ratio, Scalar, negate
from deepscaler.reward.verdicts import Refused

REFUSING_WORDS = re.compile(r"\b(?:or|not|no|none|neither|nor|if|except|unless|but)\b|[0-9]", re.I)
LETTER_NUMERAL = re.compile(r"((?=[A-Fa-f]*[0-9])[0-9A-Fa-f]++|[A-F]{2,})_(1[1-6])")
UNIT_POWER = re.compile(r"\^ *\{?-?[0-9]\}?|[0-9]$")
UNIT_VALUES = frozenset(("^", "{", "}", "-", "/", "*", "cdot", "2", "3", "1"))
MODULI = frozenset((("name", "pmod"), ("name", "bmod"), ("name", "mod")))
SIGNS = frozenset((("name", "pm"), ("name", "mp")))
CURRENCY: Token = ("operator", "¤")


def quantity(tokens: list[Token]) -> Answer:
    """What tokens without list, relation or bracket round them stand for.

    Raises:
        Refused: they are not in the language.
    """
    money = CURRENCY in tokens
    if money:
        tokens = [token for token in tokens if token != CURRENCY]
    if (numeral := read_numeral(tokens)) is not None:
        return numeral
    if ("operator", ":") in tokens:
        parts = split(tokens, lambda token: token == ("operator", ":"))
        if len(parts) > 1 and all(parts):
            return Ratio(tuple(map(expression, parts)))
    tokens, unit = without_unit(tokens)
    if not tokens:
        raise Refused("a unit alone")
    node = expression(tokens)
    unit = "$" if money and not unit else unit
    if any(token in SIGNS for token in tokens):
        return Collection(tuple(Scalar(with_sign(node, sign), unit) for sign in "+-"))
    return Scalar(node, unit)


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
    if len(tokens) == 2 and tokens[1][0] == "base":
        return Based(tokens[0][1], tokens[1][1])
    bare = [token for token in tokens if token[1] not in ("(", ")", "{", "}")]
    if len(bare) == 3 and [kind for kind, _ in bare] == ["number", "operator", "number"] and bare[1][1] == "_":
        return Based(bare[0][1], bare[2][1])
    spelling = "".join(value for kind, value in tokens if kind in ("number", "letter"))
    if (match := LETTER_NUMERAL.fullmatch(spelling)) and all(kind in ("number", "letter") for kind, _ in tokens):
        return Based(match[1].upper(), match[2])
    return None


def without_unit(tokens: list[Token]) -> tuple[list[Token], str]:
    """The tokens before the first text, and the unit: text and exponents to the end.

    Raises:
        Refused: the text qualifies the number (or, not, a digit), or more mathematics follows it.
    """
    start = next((position for position, (kind, _) in enumerate(tokens) if kind == "text"), None)
    if start is None:
        return without_marks(tokens)
    if start == 0:
        start = next((position for position, (kind, _) in enumerate(tokens) if kind != "text"), 0)
        if any(REFUSING_WORDS.search(value) for _, value in tokens[:start]):
            raise Refused("words before the mathematics")
        return without_unit(tokens[start:])
    unit = ""
    for kind, value in tokens[start:]:
        if kind == "text":
            if REFUSING_WORDS.search(UNIT_POWER.sub("", value)):
                raise Refused("words that qualify")
            unit += " " + value
        elif value in UNIT_VALUES or kind == "letter":
            unit += value if value not in ("{", "}") else ""
        else:
            raise Refused("mathematics behind words")
    return tokens[:start], " ".join(unit.lower().split())


def without_marks(tokens: list[Token]) -> tuple[list[Token], str]:
    """Units that are no text: minutes and seconds of arc, the C of °C, a modulus."""
    marks = [token for token in tokens if token == ("operator", "'")]
    if marks and tokens[0][0] == "number" and all(value in ("'", "^", "{", "}") for _, value in tokens[1:]):
        return tokens[:1], "'" * len(marks)
    if len(tokens) > 2 and tokens[-1] in (("letter", "C"), ("letter", "F")):
        before = [value for _, value in tokens[:-1] if value not in ("{", "}")]
        if before[-1] == "circ":
            return tokens[:-1], tokens[-1][1].lower()
    for position in range(1, len(tokens)):
        bracketed = tokens[position] == ("open", "(") and tokens[position + 1 : position + 2]
        if tokens[position] == ("name", "pmod") or (bracketed and bracketed[0] in MODULI):
            return tokens[:position], "mod " + plainly(tokens[position:])
    return tokens, ""


def plainly(tokens: list[Token]) -> str:
    """A modulus without brackets and the word before it."""
    return "".join(value for kind, value in tokens if kind not in ("open", "close") and (kind, value) not in MODULI)


def with_sign(node: Node, sign: str) -> Node:
    r"""The expression with every ± as `sign`, and every ∓ as the other."""
    if node.kind == "plusminus":
        inner = with_sign(node.parts[0], sign)
        return inner if node.name == sign else negate(inner)
    if not node.parts:
        return node
    return Node(node.kind, node.name, tuple(with_sign(part, sign) for part in node.parts))
