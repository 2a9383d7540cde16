"""What words about a number say: nothing (`a total of 12`), a unit or what is counted (`12 ways`), or something that
makes it another answer (`at least 12`, `12 dozen`).

Words that change a number are of closed classes, so that all others could be harmless; but what is in neither list is
taken for a part of the answer, except for plural nouns behind a number, which name what is counted.
"""

import re
from collections.abc import Callable
from typing import Literal

Role = Literal["idle", "unit", "changes", "unknown"]


def vocabulary(text: str) -> frozenset[str]:
    return frozenset(text.split())


CHANGING = vocabulary(
    "or not no none neither nor never cannot cant nothing hardly except excluding excluded excepting without unless "
    "but if than over under above below beyond within between outside inside besides minus plus less fewer more "
    "negative twice thrice double doubled triple tripled quadruple quadrupled half halved halves third thirds quarter "
    "quarters fourth fourths fifth fifths sixth sixths eighth eighths tenths hundredths thousandths squared cubed "
    "root roots reciprocal inverse opposite factorial factorials log logarithm ln exponent modulo mod dozen dozens "
    "gross hundred hundreds thousand thousands million millions billion billions complement conjugate multiplied "
    "divided added subtracted increased decreased raised plusminus infinitely almost nearly tens ones false wrong "
    "incorrect impossible"
)
"""Words that make another statement of a number, or deny it."""
CHANGING_PAIRS = re.compile(
    r"\b(?:at (?:least|most|minimum|maximum)|up to|(?:square|cube) of|sum of|product of|difference of|power of|"
    r"log of|(?:digits?|figures?|level|term|row|column|page|part) of|multiples? of|factors? of|divisors? of|"
    r"times (?:the|pi|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|[a-z])\b|"
    r"to the power|per cent of|"
    r"percent of|out of|as (?:many|much) as)\b"
)
IDLE = vocabulary(
    "the a an ans answer answers is are was be it its this that these those there which we i he she they so thus hence "
    "therefore then finally final correct required desired result value values solution solutions number total of in "
    "for as to with by only just all altogether exactly precisely about approximately approx around roughly circa "
    "simplified simplest form exact rounded nearest whole integer places place decimal decimals significant figures "
    "figure digits dp sf here also and have has get obtain find our expected maximum minimum max min possible such "
    "each total respectively now yes on at from equals equal day year question part step case page row column level "
    "round term option expression equation simplify lowest terms reduced fraction tenth hundredth thousandth can must "
    "will would should any text note box"
)
COPULAS = vocabulary(
    "is are was were be equals equal becomes become gives give yields obtain get gets have has contains contain needs "
    "need takes take costs cost means exactly approximately about"
)
TO_BEFORE_A_VALUE = vocabulary("equal equals simplifies amounts evaluates comes adds sums reduces leads out")
MASS_NOUNS = vocabulary(
    "unit units square sq cubic cu meter metre centimeter centimetre millimeter millimetre kilometer kilometre foot "
    "feet inch yard mile gram kilogram milligram pound ounce ton tonne liter litre milliliter millilitre gallon pint "
    "quart second minute hour day week month year decade century degree radian dollar cent euro rupee yen newton "
    "joule watt volt ampere amp ohm kelvin celsius fahrenheit hertz pascal bar atm mole calorie bit byte people "
    "persons person children child men women man woman dice mice geese teeth sheep fish vertices indices matrices "
    "data money water work time times percent point per old long tall wide high deep away apart left remaining "
    "distinct different unique integral total way arc area volume length erg ergs solar mass masses light"
)
IRREGULAR = vocabulary("plus minus times less always unless perhaps is was has does as this its us thus yes besides")
WORD = re.compile(r"[A-Za-z]+")
LEADING_ON = re.compile(r"i\.?e|that is|equivalently|namely|respectively|in other words|so|hence|thus", re.I)
CHOICE = re.compile(r"\(?[A-J][).:]+")
PLURAL = re.compile(r"[a-z]{2,}(?:[^siu]s|ies|[sx]es|ches|shes)")
UNIT_SYMBOL = re.compile(
    r"(?:[yzafpnumcdhkMGTPEµμ]|da)?(?:m|s|g|A|K|N|J|W|V|C|F|T|H|L|l|Hz|Pa|eV|mol|cd|lm|lx|rad|sr|Bq|Gy|Sv|kat|bar|Wh|"
    r"cal|pc|Da|ohm|Ohm|erg|G|b|B|M)|min|h|hr|hrs|d|yr|ft|in|yd|mi|lb|lbs|oz|mph|kph|rpm|amu|u|AU|ly|atm|Torr|psi|deg|"
    r"sec|secs|mins|gal|mL|ml|cc|cu|sq|dB|USD|EUR|GBP|pm|am|cm|mm|km|ppm|Å|R|c|e"
)


def behind(phrase: str) -> Role:
    """What words behind a number say of it."""
    bare = " ".join(phrase.split())
    words = WORD.findall(bare)
    lowered = [word.lower() for word in words]
    if changes(bare, lowered):
        return "changes"
    if not words:
        return "unit"
    if all(word in IDLE for word in lowered):
        return "idle"
    if all(word.lower() in MASS_NOUNS | IDLE or UNIT_SYMBOL.fullmatch(word) for word in words):
        return "unit"
    counted = any(is_plural(word) or word in MASS_NOUNS for word in lowered)
    return "unit" if counted else "unknown"


def says_nothing(phrase: str, role: Callable[[str], Role]) -> bool:
    """Whether words at an end of an answer can go; a letter alone may be a symbol."""
    words = WORD.findall(phrase)
    if not words:
        return not phrase.strip(" .,;:!")
    if phrase.rstrip().endswith(":") or UNIT_SYMBOL.fullmatch(phrase.strip()):
        return False  # a label; `in` and `min` are inches and minutes
    return (len(words) > 1 or len(words[0]) > 1) and role(phrase) == "idle"


def between(phrase: str) -> bool:
    """Whether words between commas only lead on to what follows, or say how what came before belongs together."""
    return bool(LEADING_ON.fullmatch(phrase.strip(" .,:;()")))


def before(phrase: str) -> Role:
    """What words before a number say of it: a sentence that names it, a name with a colon, or something else."""
    bare = " ".join(phrase.split()).rstrip()
    lowered = [word.lower() for word in WORD.findall(bare)]
    if changes(bare, lowered):
        return "changes"
    if CHOICE.fullmatch(bare) or all(word in IDLE for word in lowered) or bare.endswith((":", "=")):
        return "idle"  # "to" is idle by itself, so that a last "to" below has a word before it
    names_it = lowered[-1] in COPULAS or (lowered[-1] == "to" and lowered[-2] in TO_BEFORE_A_VALUE)
    return "idle" if names_it else "unknown"


def changes(phrase: str, words: list[str]) -> bool:
    """Whether words make another statement of the number that they stand beside."""
    if not CHANGING.isdisjoint(words):
        unit_squared = len(words) > 1 and words[-1] in ("squared", "cubed") and words[-2] not in IDLE
        if not (unit_squared and CHANGING.isdisjoint(words[:-1])):
            return True
    return bool(CHANGING_PAIRS.search(phrase.lower())) or "n't" in phrase


def is_plural(word: str) -> bool:
    return bool(PLURAL.fullmatch(word)) and word not in IRREGULAR
