"""The two normal forms that DeepScaleR's grader compares, reproduced with their quirks.

`mathd_form` is the string form of the MATH benchmark, `symbolic_form` what goes on to the symbolic comparison.
Behaviour: `rewards/math_utils/utils.py` of DeepScaleR, whose verdicts OpenRLHF's `utils/math_utils.py` shares.
"""

import re

from deepscaler.reward.paper import latex

WHOLLY_TEXT = re.compile(r"^\\text\{(?P<text>.+?)\}$")
MIXED_NUMBER = re.compile(r"([0-9]) +([0-9])")
THOUSANDS = re.compile(r"(\d)(,)(\d\d\d)($|\D)")
CIRCLE = re.compile(r"\^ *\\circ")
THIN_COMMA = re.compile(r",\\! *")
MINUS_SPACES = re.compile(r"- *")
UNIT_NAMES = (
    *("degree", "cm", "centimeter", "meter", "mile", "second", "minute", "hour", "day", "week"),
    *("month", "year", "foot", "feet", "inch", "yard"),
)
UNITS = [(unit, re.compile(rf"{unit}(es)?(s)? *(\^[0-9]+)?")) for unit in UNIT_NAMES]
MATHD_REPLACEMENTS = (
    ("\n", ""),
    ("\\!", ""),
    ("\\\\", "\\"),
    ("tfrac", "frac"),
    ("dfrac", "frac"),
    ("\\left", ""),
    ("\\right", ""),
    ("^{\\circ}", ""),
    ("^\\circ", ""),
    ("\\$", ""),
)
TEXT_WORDS = (
    ("\\%", "%"),
    ("\\$", "$"),
    ("$", ""),
    ("%", ""),
    (" or ", " , "),
    (" and ", " , "),
    ("million", "*10^6"),
    ("billion", "*10^9"),
    ("trillion", "*10^12"),
)
TEXT_SYMBOLS = (("√", "sqrt"), ("π", "pi"), ("∞", "inf"), ("∪", "U"), ("·", "*"), ("×", "*"))


class NoMathdForm(Exception):
    """The MATH form gave up; the stripped answer itself is the form then."""


def replace_all(text: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text


def mathd_form(answer: str) -> str:
    """The MATH benchmark's normal form of an answer; the stripped answer where the form does not apply."""
    answer = answer.strip()
    if match := WHOLLY_TEXT.search(answer):
        answer = match.group("text").strip()
    try:
        return normalise_mathd(answer)
    except NoMathdForm:
        return answer


def normalise_mathd(text: str) -> str:
    text = replace_all(text, MATHD_REPLACEMENTS)
    if "\\text{ " in text:
        text, *units = text.split("\\text{ ")
        if len(units) != 1:
            raise NoMathdForm
    text = replace_all(text, (("\\%", ""), (" .", " 0."), ("{.", "{0.")))
    if not text:
        return text
    if text[0] == ".":
        text = "0" + text
    sides = text.split("=")
    if len(sides) == 2 and len(sides[0]) <= 2:
        text = sides[1]
    text = brace_roots(text).replace(" ", "")
    text = brace_fractions(text)
    if text == "0.5":
        text = "\\frac{1}{2}"
    return slash_to_fraction(text)


def brace_roots(text: str) -> str:
    r"""`\sqrt3` to `\sqrt{3}`."""
    head, *tails = text.split("\\sqrt")
    for tail in tails:
        if not tail:
            raise NoMathdForm
        head += "\\sqrt" + (tail if tail[0] == "{" else "{" + tail[0] + "}" + tail[1:])
    return head


def brace_fractions(text: str) -> str:
    r"""`\frac12` to `\frac{1}{2}`; a fraction cut short leaves the whole text as it was."""
    result, *tails = text.split("\\frac")
    for tail in tails:
        if not tail:
            raise NoMathdForm
        result += "\\frac"
        if tail[0] == "{":
            result += tail
        elif len(tail) < 2:
            return text
        elif tail[1] == "{":
            result += "{" + tail[0] + "}" + tail[1:]
        else:
            result += "{" + tail[0] + "}{" + tail[1] + "}" + tail[2:]
    return result


def slash_to_fraction(text: str) -> str:
    """`3/4`, and only two plain integers, to a LaTeX fraction."""
    parts = text.split("/")
    if len(parts) != 2:
        return text
    try:
        above, below = int(parts[0]), int(parts[1])
        return f"\\frac{{{above}}}{{{below}}}" if text == f"{above}/{below}" else text
    except ValueError:
        return text


def symbolic_form(answer: str) -> str:
    """The normal form that the symbolic comparison starts from: units, currency and LaTeX rewritten, lower case."""
    if match := WHOLLY_TEXT.search(answer):
        answer = match.group("text")
    text = replace_all(answer, TEXT_WORDS)
    for unit, pattern in UNITS:
        if unit in text:
            text = pattern.sub("", text)
    text = CIRCLE.sub("", text)
    if text and text[0] == "{" and text[-1] == "}":
        text = text[1:-1]
    text = THIN_COMMA.sub("", text)
    value = as_float(text)
    if value is not None and is_near_integer(value):
        text = str(round(value))
    if "\\" in text:
        text = latex_to_text(text)
    text = MIXED_NUMBER.sub(r"\1+\2", MINUS_SPACES.sub("-", text))
    text = replace_all(text, ((" ", ""), ("{", ""), ("}", ""))).lower()
    if is_integer_text(text):
        text = str(int(float(text.replace(",", ""))))
    return text


def latex_to_text(text: str) -> str:
    """Plain text of LaTeX, an unknown macro becoming nothing; `text` itself where pylatexenc fails."""
    fractions = replace_all(text, (("\\tfrac", "\\frac"), ("\\dfrac", "\\frac"), ("\\frac", " \\frac")))
    plain = latex.to_text(fractions)
    return text if plain is None else replace_all(plain, TEXT_SYMBOLS).strip()


def as_float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def is_near_integer(value: float) -> bool:
    try:
        return abs(value - round(value)) <= 1e-7
    except (ValueError, OverflowError):  # not a number, or infinite
        return False


def without_thousands(text: str) -> str:
    """`1,234,567` to `1234567`, commas elsewhere left alone."""
    while (shorter := THOUSANDS.sub(r"\1\3\4", text)) != text:
        text = shorter
    return text


def is_integer_text(text: str) -> bool:
    value = as_float(without_thousands(text))
    return value is not None and is_near_integer(value)
