r"""The unit at the end of a quantity's tokens, written as words or as mathematics (`\frac{\text{m}}{\text{s}^2}`)."""

from dataclasses import dataclass

from deepscaler.reward.strict.parse.tokens import Token
from deepscaler.reward.strict.units import read_unit

MAX_DEPTH = 3
"""Fractions within each other."""
REACH = 8
"""Tokens before the first word among which a unit may begin: a letter such as a prefix, or a fraction's."""
SYMBOLS = frozenset(("\\mu", "\\Omega", "\\AA", "k", "M_odot", "R_odot", "L_odot", "M_oplus", "R_oplus"))
OWN_SYMBOLS = frozenset(symbol for symbol in SYMBOLS if "_o" in symbol or symbol == "\\AA")
MARKS = frozenset((("operator", "'"), ("name", "circ"), *(("letter", symbol) for symbol in OWN_SYMBOLS)))
"""What announces a unit without words: a prime, the circle of °C, the sun's symbol."""
CIRCLES: tuple[list[Token], ...] = (
    [("operator", "^"), ("name", "circ")],
    [("operator", "^"), ("open", "{"), ("name", "circ"), ("close", "}")],
)


@dataclass(slots=True)
class Reading:
    """What a run of tokens says as a unit's text, and whether anything in it can only be a unit."""

    text: str = ""
    sure: bool = False


def split_unit(tokens: list[Token], letters: bool = False) -> tuple[list[Token], str]:
    """The tokens before a known unit at their end, and the unit's text; an empty one where there is none.

    `letters`: letters alone may be a unit, too; otherwise there must be words, marks or symbols that nothing else has.
    """
    first = next((index for index, token in enumerate(tokens) if token[0] == "text"), None)
    if first is None:
        if not letters and not MARKS.intersection(tokens):
            return tokens, ""
        first = next((index for index, token in enumerate(tokens) if letters or token in MARKS), None)
        if first is None:
            return tokens, ""
        starts = range(max(first - 2, 1), len(tokens))
    else:
        starts = range(max(first - REACH, 1), first + 1)
    for start in starts:
        if not may_begin(tokens, start, letters):
            continue
        for glue in (True, False) if letters else (False,):
            reading = unit_reading(tokens[start:], glue)
            if reading is not None and (reading.sure or letters) and read_unit(reading.text) is not None:
                return tokens[:start], reading.text.strip()
    return tokens, ""


def may_begin(tokens: list[Token], start: int, letters: bool) -> bool:
    kind, value = tokens[start]
    if kind == "text" or (kind == "letter" and (letters or value in SYMBOLS)):
        return True
    if kind == "operator" and value in ("'", "^"):
        return value == "'" or any(tokens[start : start + len(circle)] == circle for circle in CIRCLES)
    if (kind, value) == ("open", "("):
        return any(each[0] == "text" or each == ("name", "frac") for each in tokens[start + 1 : start + 2])
    if kind == "letter":  # upright, as in \mathrm{N} \cdot \mathrm{m}, before another factor
        following = next((each[1] for each in tokens[start + 1 :] if each[1] not in "^{-}" and each[0] != "number"), "")
        return following in ("cdot", "*", "/")
    return (kind, value) == ("name", "frac")


def unit_reading(tokens: list[Token], glue: bool = False, depth: int = 0) -> Reading | None:
    """The tokens as a unit's text, letters side by side as one word (`glue`); None where anything else is there."""
    reading, position = Reading(), 0
    while position < len(tokens):
        used = (
            read_circle(reading, tokens, position)
            or read_word(reading, tokens, position, glue)
            or read_fraction(reading, tokens, position, glue, depth)
            or read_sign(reading, tokens, position)
        )
        if not used:
            return None
        position += used
    return reading


def read_circle(reading: Reading, tokens: list[Token], position: int) -> int:
    """How many tokens the circle of a degree takes here; 0 where there is none."""
    circle = next((each for each in CIRCLES if tokens[position : position + len(each)] == each), [])
    if circle:
        reading.text += "°"
        reading.sure |= tokens[position + len(circle) :] in ([("letter", "C")], [("letter", "F")])
    return len(circle)


def read_word(reading: Reading, tokens: list[Token], position: int, glue: bool) -> int:
    """How many tokens a word or a letter takes here, glued to a prefix before it; 0 where there is none."""
    kind, value = tokens[position]
    if kind not in ("text", "letter"):
        return 0
    after_letter = kind == "letter" and glue and position > 0 and tokens[position - 1][0] == "letter"
    glued = after_letter or reading.text.endswith(("μ", " k", "°")) or reading.text == "k"
    word = value.strip().replace("\\mu", "μ").replace("\\AA", "Å")
    reading.text += word if glued else f" {word}"
    reading.sure |= value in OWN_SYMBOLS or (kind == "text" and any(map(str.isalpha, value)))
    return 1


def read_fraction(reading: Reading, tokens: list[Token], position: int, glue: bool, depth: int) -> int:
    """How many tokens a fraction of two units takes here; 0 where there is none."""
    if tokens[position] != ("name", "frac") or depth > MAX_DEPTH:
        return 0
    above = group(tokens, position + 1)
    below = group(tokens, position + 1 + len(above))
    inside = [
        unit_reading(part[1:-1] if part[0][1] == "{" else part, glue, depth + 1) for part in (above, below) if part
    ]
    if len(inside) < 2 or inside[0] is None or inside[1] is None:
        return 0
    reading.text += f" ({inside[0].text})/({inside[1].text})"
    reading.sure |= inside[0].sure or inside[1].sure
    return 1 + len(above) + len(below)


def read_sign(reading: Reading, tokens: list[Token], position: int) -> int:
    """Whether a prime, a sign between units, a bracket or an exponent stands here, as a number of tokens."""
    kind, value = tokens[position]
    if kind == "number":
        if len(value) > 1 or position == 0 or tokens[position - 1][1] not in ("^", "{", "-"):
            return 0
        reading.text += value
    elif (kind, value) in (("operator", "*"), ("name", "cdot")):
        reading.text += "*"
    elif kind == "operator" and value in "'^/-":
        reading.text += value
        reading.sure |= value == "'"
    elif kind in ("open", "close") and value in "(){}":
        reading.text += value if value in "()" else ""
    else:
        return 0
    return 1


def group(tokens: list[Token], start: int) -> list[Token]:
    """One argument: a braced group with its braces, or a token; none where the tokens end."""
    if tokens[start : start + 1] != [("open", "{")]:
        return tokens[start : start + 1]
    depth = 0
    for position in range(start, len(tokens)):
        depth += (tokens[position][0] == "open") - (tokens[position][0] == "close")
        if depth == 0:
            return tokens[start : position + 1]
    return []
