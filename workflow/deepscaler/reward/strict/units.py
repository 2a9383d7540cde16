"""Units of measurement: what a unit's text is worth in base units, read by a table and a small grammar.

Names take plurals and SI prefixes; a year is no fixed number of days, and every currency is a dimension of its own.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

MAX_LENGTH = 80
MAX_EXPONENT = 12
PREFIXES = {
    **{"Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1, "d": -1, "c": -2},
    **{"m": -3, "μ": -6, "n": -9, "p": -12, "f": -15, "a": -18},
}
PREFIX_NAMES = {
    **{"peta": 15, "tera": 12, "giga": 9, "mega": 6, "kilo": 3, "hecto": 2, "deci": -1, "centi": -2, "milli": -3},
    **{"micro": -6, "nano": -9, "pico": -12, "femto": -15},
}
BASES = {
    **{"meter metre m": "m", "gram gramme g": "g", "second s": "s", "ampere amp A": "A", "kelvin K": "K"},
    **{"mole mol": "mol", "candela cd": "cd", "bit": "bit", "degree deg °": "°", "year yr": "yr"},
    **{"dollar USD $": "$", "euro EUR €": "€", "£ GBP": "£", "¥ yen JPY": "¥", "rupee INR": "rupee", "unit": "unit"},
}
"""Spellings of each base unit; among them those that take prefixes stand in PREFIXABLE too."""
DEFINITIONS = {
    "newton N": "1 kg m / s^2",
    "joule J": "1 N m",
    "watt W": "1 J / s",
    "pascal Pa": "1 N / m^2",
    "hertz Hz": "1 / s",
    "coulomb C": "1 A s",
    "volt V": "1 J / C",
    "farad F": "1 C / V",
    "ohm Ohm Ω": "1 V / A",
    "weber Wb": "1 V s",
    "tesla T": "1 Wb / m^2",
    "henry H": "1 Wb / A",
    "becquerel Bq": "1 / s",
    "liter litre L l": "0.001 m^3",
    "electronvolt eV": "1.602176634e-19 J",
    "calorie cal": "4.184 J",
    "erg": "1e-7 J",
    "dyne dyn": "1e-5 N",
    "bar": "100000 Pa",
    "gauss": "0.0001 T",
    "parsec pc": "3.0856775814913673e16 m",
    "byte": "8 bit",
    "radian rad": "180 °",
    "dalton Da amu u": "1.66053906660e-27 kg",
    "tonne ton": "1000 kg",
    "minute min": "60 s",
    "hour hr h": "60 min",
    "day d": "24 h",
    "week wk": "7 d",
    "fortnight": "14 d",
    "month": "1/12 yr",
    "decade": "10 yr",
    "century": "100 yr",
    "angstrom ångström Å": "1e-10 m",
    "micron": "1e-6 m",
    "jansky Jy": "1e-26 W / m^2 / Hz",
    "inch in": "0.0254 m",
    "foot feet ft": "12 in",
    "yard yd": "3 ft",
    "mile mi": "5280 ft",
    "lightyear ly": "9460730472580800 m",
    "AU au": "149597870700 m",
    "hectare ha": "10000 m^2",
    "acre": "4840 yd^2",
    "cc": "1 cm^3",
    "Wh": "3600 J",
    "pound lb": "0.45359237 kg",
    "ounce oz": "1/16 lb",
    "gallon gal": "231 in^3",
    "quart qt": "1/4 gal",
    "pint": "1/8 gal",
    "cup": "1/16 gal",
    "mph": "1 mi / h",
    "kph kmh kmph": "1 km / h",
    "knot": "1852/3600 m / s",
    "revolution turn": "360 °",
    "rpm": "360 ° / min",
    "arcminute arcmin '": "1/60 °",
    "arcsecond arcsec ''": "1/3600 °",
    "atm": "101325 Pa",
    "Torr mmHg": "101325/760 Pa",
    "psi": "6894.757293168 Pa",
    "cent ¢": "0.01 $",
    "M⊙": "1.98847e33 g",
    "R⊙": "6.957e8 m",
    "L⊙": "3.828e26 W",
    "M⊕": "5.9722e27 g",
    "R⊕": "6.371e6 m",
    "dozen": "12",
    "percent %": "0.01",
    "steradian sr": "1",
}
PREFIXABLE_NAMES = (
    "meter metre m gram gramme g second s ampere amp A kelvin K mole mol candela cd bit newton N joule J watt W "
    "pascal Pa hertz Hz coulomb C volt V farad F ohm Ohm Ω weber Wb tesla T henry H becquerel Bq liter litre L l "
    "electronvolt eV calorie cal erg dyne dyn bar gauss parsec pc byte radian rad dalton Da tonne ton Wh jansky Jy"
)
PREFIXABLE = frozenset(PREFIXABLE_NAMES.split())
SHORT_NAMES = frozenset(("ohm", "amp", "ton"))
EITHER = frozenset(("bar", "erg", "bit", "Ohm"))
"""What takes prefixes as a name and as a symbol."""
TEMPERATURES = {"°C": (Fraction(1), Fraction("273.15")), "°F": (Fraction(5, 9), Fraction("459.67") * Fraction(5, 9))}
"""Kelvins in a degree, and the kelvins at zero degrees."""
SPELLINGS = (
    (re.compile(r"(?<![A-Za-zμ])ms(?=[ {]*+\^?[ {]*+-)"), "m s"),
    (re.compile(r"\^? ?\{? ?(?:\\circ|°) ?\}? ?\^?"), "°"),
    (re.compile(r"[{}~]|\\[,;:! ]"), " "),
    (re.compile(r"\\(?:cdot|times)(?![A-Za-z])|[·×⋅•]"), "*"),
    (re.compile(r"(?:\\mu(?![A-Za-z])|[µμ]) ?"), "μ"),
    (re.compile(r"\\(?:Omega|ohm)(?![A-Za-z])|Ω"), "Ω"),
    (re.compile(r"\\AA(?![A-Za-z])|\u212b"), "Å"),
    (re.compile(r"_? ?(?:\\?odot|⊙|☉)"), "⊙"),
    (re.compile(r"_? ?(?:\\?oplus|⊕)"), "⊕"),
    (re.compile(r"\bsolar mass(?:es)?\b", re.I), "M⊙"),
    (re.compile(r"\blight[ -]+years?\b", re.I), "ly"),
    (re.compile(r"\bastronomical units?\b", re.I), "AU"),
    (re.compile(r"\belectron[ -]+volts?\b", re.I), "eV"),
    (re.compile(r"\b(arc)[ -]+(?=minute|second)", re.I), r"\1"),
    (re.compile(r"\b(minute|second)s? of arc\b", re.I), r"arc\1"),
    (re.compile(r"(?:° ?|\bdegrees? )(?:C\b|Celsius\b)|\b[Cc]elsius\b"), "°C"),
    (re.compile(r"(?:° ?|\bdegrees? )(?:F\b|Fahrenheit\b)|\b[Ff]ahrenheit\b"), "°F"),
)
IDLE = frozenset(("old", "tall", "long", "wide", "high", "deep", "away", "each"))
TOKEN = re.compile(
    r" *(?:(\^ *-?[0-9]{1,2}|(?<=[A-Za-z])-?[0-9](?![0-9]))|([A-Za-zμΩÅåö°⊙⊕$€£¥¢%]+|'+)|([*/()-])|\.(?= |$))"
)
POWERS_BEFORE = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
POWERS_BEHIND = {"squared": 2, "cubed": 3}

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """`factor` times π to the power `pi` base units of some `dimensions`, `zero` of them at the scale's zero."""

    dimensions: Dimensions
    factor: Fraction
    pi: int = 0
    zero: Fraction = Fraction(0)


NUMBER = Unit((), Fraction(1))


def product(one: Unit, other: Unit, power: int) -> Unit:
    """`one` times `other` to a power."""
    powers = dict(one.dimensions)
    for name, exponent in other.dimensions:
        powers[name] = powers.get(name, 0) + exponent * power
    dimensions = tuple(sorted((name, exponent) for name, exponent in powers.items() if exponent))
    return Unit(dimensions, one.factor * other.factor**power, one.pi + other.pi * power)


@lru_cache(maxsize=4096)
def read_unit(text: str) -> Unit | None:
    r"""The unit that a text names, such as `km/h`, `square feet`, `kg m^2 s^{-1}`, `(erg)/(s)`; None for any other."""
    if len(text) > MAX_LENGTH:
        return None
    text = " ".join(text.split())
    for pattern, spelling in SPELLINGS:
        text = pattern.sub(spelling, text)
    text = " ".join(text.replace("\\", " ").split())
    if text in TEMPERATURES:
        factor, zero = TEMPERATURES[text]
        return Unit((("K", 1),), factor, 0, zero)
    return UnitReader(text).read()


class UnitReader:
    """Factors from left to right; what follows a slash or "per" belongs below it, up to a negative exponent."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        position = 0
        while match := TOKEN.match(text, position):
            position = match.end()
            kind = ("exponent", "word", "sign")[match.lastindex - 1] if match.lastindex else ""
            if kind:
                self.tokens.append((kind, match[match.lastindex or 0].replace(" ", "").lstrip("^")))
        self.is_readable = position == len(text) and bool(self.tokens)
        self.position = 0

    def read(self) -> Unit | None:
        if not self.is_readable:
            return None
        unit = self.factors()
        return unit if self.position == len(self.tokens) else None

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("", "")

    def factors(self) -> Unit | None:
        """Factors up to a closing bracket or the end."""
        total, side, found = NUMBER, 1, False
        while (token := self.peek())[0] and token != ("sign", ")"):
            if token[0] == "sign" and token[1] in "*-":
                self.position += 1
            elif token in (("sign", "/"), ("word", "per"), ("word", "a"), ("word", "an")) and (
                found or token[1] == "/"
            ):
                side, self.position = -1, self.position + 1
                if self.peek()[0] == "":
                    return None
            elif token[0] == "word" and token[1].lower() in IDLE and found:
                self.position += 1
            else:
                if (factor := self.factor()) is None:
                    return None
                unit, exponent = factor
                total = product(total, unit, exponent if exponent < 0 else side * exponent)
                found = True
        return total if found else None

    def factor(self) -> tuple[Unit, int] | None:
        kind, value = self.peek()
        self.position += 1
        exponent = 1
        if kind == "word" and value.lower().rstrip(".") in POWERS_BEFORE:
            exponent = POWERS_BEFORE[value.lower()]
            kind, value = self.peek()
            self.position += 1
        if (kind, value) == ("sign", "("):
            unit = self.factors()
            if self.peek() != ("sign", ")"):
                return None
            self.position += 1
        else:
            unit = named_unit(value) if kind == "word" else None
        if unit is None:
            return None
        kind, value = self.peek()
        if kind == "exponent":
            exponent *= int(value)
            self.position += 1
        elif kind == "word" and value.lower() in POWERS_BEHIND:
            exponent *= POWERS_BEHIND[value.lower()]
            self.position += 1
        return (unit, exponent) if 0 < abs(exponent) <= MAX_EXPONENT else None


def named_unit(word: str) -> Unit | None:
    """A unit by its symbol, case and all, or by its name, perhaps with a prefix or in the plural."""
    for spelling in dict.fromkeys((word, singular(word), word.lower(), singular(word.lower()))):
        if len(spelling) == 1 and spelling != word:
            continue  # G is no gram
        if spelling in TABLE:
            return TABLE[spelling]
        for prefixes in (PREFIXES, PREFIX_NAMES):
            for prefix, power in prefixes.items():
                stem = spelling.removeprefix(prefix)
                is_symbol = len(stem) <= 3 and stem not in SHORT_NAMES
                if stem != spelling and stem in PREFIXABLE and (is_symbol == (prefixes is PREFIXES) or stem in EITHER):
                    unit = TABLE[stem]
                    return Unit(unit.dimensions, unit.factor * Fraction(10) ** power, unit.pi)
    return None


def singular(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("inches"):
        return word[:-2]
    return word[:-1] if len(word) > 2 and word.endswith("s") else word


TABLE: dict[str, Unit] = {}


def fill_table() -> None:
    for spellings, base in BASES.items():
        TABLE.update(dict.fromkeys(spellings.split(), Unit(((base, 1),), Fraction(1))))
    for spellings, definition in DEFINITIONS.items():
        number, _, rest = definition.partition(" ")
        unit = UnitReader(rest).read() or NUMBER
        pi = -1 if "rad" in spellings.split() else 0
        value = Unit(unit.dimensions, unit.factor * Fraction(number), unit.pi + pi)
        TABLE.update(dict.fromkeys(spellings.split(), value))


fill_table()
