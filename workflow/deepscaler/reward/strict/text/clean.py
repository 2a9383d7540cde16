"""Clean-up of an answer's text: one spelling for what LaTeX and Unicode can write in several ways."""

import re
import unicodedata

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
VULGAR = {"½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5)}
VULGAR |= {"⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8)}

CHARACTERS = {
    **{"−": "-", "–": "-", "—": "-", "‐": "-", "﹣": "-", "×": r"\cdot ", "·": r"\cdot ", "⋅": r"\cdot ", "∗": "*"},
    **{"÷": "/", "∕": "/", "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx "},
    **{"∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "∖": r"\setminus ", "∈": r"\in ", "∅": r"\emptyset "},
    **{"±": r"\pm ", "∓": r"\mp ", "°": r"^\circ ", "º": r"^\circ ", "′": "'", "″": "''", "’": "'", "‘": "'"},
    **{"π": r"\pi ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "∠": r"\angle "},
    **{"“": '"', "”": '"', "，": ",", "；": ";", "：": ":", "（": "(", "）": ")", "［": "[", "］": "]", "％": "%"},
    **{"⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "ℓ": r"\ell ", "△": r"\triangle "},
    **{"｛": r"\{", "｝": r"\}", "￥": "¥", "∘": r"\circ ", "ℯ": "e", "ⅈ": "i"},
    **{"¢": r"\text{ cents}", "⟨": "(", "⟩": ")", "…": r"\ldots ", "≡": "=", "∧": r"\text{and}"},
    **{"µ": r"\mu ", "∨": r"\text{or}", "∣": "|", "∀": r"\forall ", "✓": " ", "✔": " ", "∎": " ", "□": " ", "■": " "},
    **{chr(code): "" for code in (0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF)},
}
GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi "
    "psi omega"
)


def greek() -> dict[str, str]:
    """Every Greek letter and its LaTeX name; Unicode spells lambda without its b."""
    letters = {}
    for name in GREEK_NAMES.split():
        official = name.upper().replace("LAMBDA", "LAMDA")
        letters[unicodedata.lookup(f"GREEK SMALL LETTER {official}")] = f"\\{name} "
        letters[unicodedata.lookup(f"GREEK CAPITAL LETTER {official}")] = f"\\{name.capitalize()} "
    return letters


FRACTIONS = {sign: rf" \frac{{{above}}}{{{below}}}" for sign, (above, below) in VULGAR.items()}
UNICODE = str.maketrans({**greek(), **CHARACTERS, **FRACTIONS})

SYNONYMS = {
    **dict.fromkeys(("dfrac", "tfrac", "cfrac", "nicefrac", "sfrac"), r"\frac"),
    **dict.fromkeys(("leq", "leqslant", "leqq"), r"\le"),
    **dict.fromkeys(("geq", "geqslant", "geqq"), r"\ge"),
    **{"lt": "<", "gt": ">", "neq": r"\ne", "not=": r"\ne", "dbinom": r"\binom", "tbinom": r"\binom"},
    **{"times": r"\cdot", "ast": r"\cdot", "bullet": r"\cdot", "div": "/", "mid": "|", "colon": ":"},
    **{"lvert": "|", "rvert": "|", "vert": "|", "lbrace": r"\{", "rbrace": r"\}", "lbrack": "[", "rbrack": "]"},
    **{
        "lgroup": "(",
        "rgroup": ")",
        "lparen": "(",
        "rparen": ")",
        "langle": "(",
        "rangle": ")",
        "ulcorner": r"\lceil",
        "urcorner": r"\rceil",
    },
    **{"llcorner": r"\lfloor", "lrcorner": r"\rfloor", "degree": r"^\circ", "degrees": r"^\circ"},
    **{"exponentialE": "e", "imaginaryI": "i", "imaginaryJ": "i", "varnothing": r"\emptyset", "land": r"\text{and}"},
    **{"lor": r"\text{or}", "wedge": r"\text{and}", "vee": r"\text{or}", "bigcup": r"\cup", "bigcap": r"\cap"},
    **{"backslash": r"\setminus", "simeq": r"\approx", "doteq": "=", "equiv": "=", "coloneqq": "=", "to": r"\to"},
    **{"varphi": r"\phi", "varepsilon": r"\epsilon", "vartheta": r"\theta", "varrho": r"\rho", "varsigma": r"\sigma"},
    **{"arctg": r"\arctan", "tg": r"\tan", "ctg": r"\cot", "asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan"},
    **{"dots": r"\ldots", "cdots": r"\ldots", "dotsc": r"\ldots", "dotsb": r"\ldots", "ddots": r"\ldots"},
    **{"textdollar": r"\$", "euro": "€", "pounds": "£", "textdegree": r"^\circ", "overbar": r"\overline"},
    **{"percent": r"\%", "ge": r"\ge", "overrightarrow": r"\vec", "widehat": r"\hat", "lnot": r"\neg"},
    **{"infin": r"\infty", "surd": r"\sqrt", "exp": r"\exp", "Re": r"\Re", "Im": r"\Im"},
}
DROPPED_NAMES = (
    "left right mleft mright big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr displaystyle textstyle scriptstyle "
    "limits nolimits noindent quad qquad enspace thinspace medspace thickspace hspace nonumber mathstrut strut "
    "allowbreak ensuremath hfill boldsymbol checkmark qed blacksquare hline tiny small normalsize large "
    "Large LARGE huge Huge"
)
DROPPED = frozenset(DROPPED_NAMES.split())
BLANK = re.compile(r"\\[hv]space\*? *\{[^{}]*\}")
MEASURE = re.compile(r"(?<![A-Za-z0-9\\])m *(?=\\angle)")
"""The measure of an angle, which the angle's name stands for just as well."""
GLUED_BAR = re.compile(r"[lr]?vert(?=.)")
COMMAND = re.compile(r"\\([A-Za-z]+)")
DELIMITER_DOT = re.compile(r"\\(?:left|right|mleft|mright)\s*\.")
ESCAPED_COMMAND = re.compile(r"(?<!\\)\\{2,}+(?=[A-Za-z]{2}|[{}%$])")
SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
SUBSCRIPT_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
THIN_GROUP = re.compile(
    r"(?<=\d)(?<![_^]\d)(?<![_^]\d\d)(?<!frac\d)(?<!frac\d\d)(?<!sqrt\d)(?:\{,\}|,\\!|\\!,|\\,|\{\\,\})\s*(?=\d{3}(?!\d))"
)
"""A thin space or a braced comma between groups of digits, of which the first is no script's: `\\log_2\\,128`."""
ABOUT = re.compile(
    r"(?<=[0-9A-Za-z)}]) *+[,;]?+ *+\\text *+\{ *+,?+ *+(\(?)(?:or|i\.e\.,?)? *+"
    r"(?:approximately|approx\.?|about|roughly|around) *+\} *(?=[0-9.-])"
)
ABOUT_INSIDE = re.compile(
    r"(?<=[0-9A-Za-z)}]) *+\\text *+\{ *+\(?(?:or )?(?:approximately|approx\.?|about|roughly|around) ++"
    r"(-?[0-9.]+) *+\)?\}"
)
ROW_SPACING = re.compile(r"(?<!\\)\\\\\*? *\[ *[-+]?[0-9.]+ *(?:pt|mm|cm|em|ex|in|bp|pc|sp|mu) *\]")
TAG = re.compile(r"\\tag\*? *\{[^{}]*\}|\\(?:label|ref|eqref) *\{[^{}]*\}")
TIMES_TEN = re.compile(r"(?<=[0-9]) *[xX] *(?=10 *(?:\^|\*\*))")
"""The letter x for a multiplication sign, as in `1.45 x 10^{-5}`."""
LEADING_ARROW = re.compile(
    r"\s*(?:\\(?:therefore|Rightarrow|implies|Longrightarrow|rightarrow|to|because)(?![A-Za-z])\s*)+"
)
SPACES = re.compile(r"(?<!\\)\\[,;:> !]|~|\s+|&nbsp;")
WORDS = re.compile(r"(?<![A-Za-z\\])(percentage|percent|pct|degrees?)(?![A-Za-z])\.?")
ORDINAL = re.compile(
    r"(?<=[0-9])\s*+\^?+\s*+\{?+\s*+(?:\\(?:text|mathrm|textsuperscript)\s*\{\s*)?"
    r"(?:st|nd|rd|th)(?![A-Za-z])[ }]*"
)
PRIME = re.compile(r"\^\s*\{\s*((?:\\?prime\s*)+)\}|\^\s*\\prime")
RADICAL = re.compile(r"([√∛∜])\s*")
ASCII_OPERATORS = (
    *(("<=", r"\le "), (">=", r"\ge "), ("!=", r"\ne "), ("=<", r"\le "), ("=>", r"\ge ")),
    *(("**", "^"), ("==", "=")),
)
MARKS = (("**", "**"), ("__", "__"), ('"', '"'), ("''", "''"), ("``", "''"), ("“", "”"), ("‘", "’"), ("'", "'"))
"""Markdown's and quotation marks, which may stand round a whole answer; backticks may be several."""
OPENING_MARKS = frozenset(opening[0] for opening, _ in MARKS) | {"`"}
LEAD_IN = re.compile(
    r"(?:\\text *\{)?(?:(?:so|thus|hence|therefore),? +)?(?:the +)?(?:final +|correct +)?"
    r"answer *(?:is|:|=) *:?(?: *\})?",
    re.I,
)
RECURRING_DIGIT = re.compile(r"(?<![0-9.])([0-9]*\.[0-9]*?)([0-9])(?<!\2\2)\2\2++ *(?:\.{3}|\\ldots)")
RECURRING_GROUP = re.compile(r"(?<![0-9.])([0-9]*\.)([0-9]++) *(?:\.{3}|\\ldots)")
RECURRING_DOTS = re.compile(
    r"(?<=[0-9.])\\dot *(?:\{([0-9])\}|([0-9])) *([0-9]*) *\\dot *(?:\{([0-9])\}|([0-9]))(?! *(?:[0-9]|\\dot))"
)
"""Dots above the first and the last digit of what recurs."""
RECURRING_BRACKET = re.compile(r"(?<![0-9.])([0-9]*\.[0-9]*)\(([0-9]+)\)")
INCHES = re.compile(r"(?<=[0-9])\s*\"")
FRENCH_INTERVAL = re.compile(r"([\[\]])(?=[^\[\]()][^\[\]()]*?[,;][^\[\]()])([^\[\]()]++)([\[\]])")
SIMPLE = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?")


def clean(text: str) -> str:
    """The answer's text in one spelling, without formatting, math delimiters and a closing full stop."""
    text = text.strip()
    if SIMPLE.fullmatch(text):
        return text
    if text[0:1] in OPENING_MARKS:
        text = without_marks(text.rstrip(".")) or text
    if not text.isascii():
        text = fold_unicode(text)
    if "," in text or "\\!" in text:
        text = THIN_GROUP.sub("", text)
    if "10" in text:
        text = TIMES_TEN.sub(r"\\cdot ", text)
    if "\\" in text:
        text = fold_latex(text)
    text = text.replace("{:}", ":").replace("\\$", " ¤ ").replace("$", " ")
    if text.startswith(" ¤") or text.endswith("¤ "):
        text = text.strip()
    if "=" in text or "**" in text:
        for old, new in ASCII_OPERATORS:
            text = text.replace(old, new)
    text = fold_words(fold_decimals(text))
    if text[:1] in ("[", "]") and text[-1:] in ("[", "]"):
        text = FRENCH_INTERVAL.sub(usual_interval, text)
    return strip_ends(SPACES.sub(" ", text))


def without_marks(text: str) -> str | None:
    """What stands between Markdown's marks that open and close the whole text; None where there are none."""
    pairs = (len(one) for one, other in MARKS if text.startswith(one) and text.endswith(other))
    size = next(pairs, 0)
    if size == 1 and text.count(text[0]) > 2:
        return None  # marks round parts of the text, or primes
    if text.startswith("`") and not size:
        opening, closing = (len(text) - len(stripped) for stripped in (text.lstrip("`"), text.rstrip("`")))
        size = min(opening, closing, (len(text) - 1) // 2)
        size -= size == opening and text[size].isspace()
    return text[size:-size] if 0 < 2 * size < len(text) and not text[size].isspace() else None


def fold_decimals(text: str) -> str:
    """Recurring decimals with a bar, as in `0.1(6)` and `0.333...`; inches and seconds as primes."""
    if ".." in text or "ldots" in text:
        text = RECURRING_GROUP.sub(overlined, RECURRING_DIGIT.sub(r"\1\\overline{\2}", text))
    if "\\dot" in text:
        text = RECURRING_DOTS.sub(lambda match: f"\\overline{{{''.join(filter(None, match.groups()))}}}", text)
    if "(" in text and "." in text:
        text = RECURRING_BRACKET.sub(r"\1\\overline{\2}", text)
    return INCHES.sub("''", text) if '"' in text else text


def overlined(match: re.Match[str]) -> str:
    """`0.142857142857...` with a bar over the shortest group, of two digits at least, that its decimals repeat."""
    before, digits = match.groups()
    period = (digits * 2).find(digits, 1)
    if period == 1:
        period = next((size for size in range(2, len(digits)) if len(digits) % size == 0), len(digits))
    return match.group() if period == len(digits) else f"{before}\\overline{{{digits[:period]}}}"


def fold_words(text: str) -> str:
    """Primes, ordinals, percent and degrees in words, and the words that announce an answer."""
    if "prime" in text:
        text = PRIME.sub(lambda match: "'" * match.group().count("prime"), text)
    if "t" in text or "d" in text:
        text = ORDINAL.sub(" ", text)
    if "e" in text or "c" in text:
        text = WORDS.sub(lambda match: r"^\circ " if match.group(1)[0] == "d" else r"\% ", text)
    if "nswer" in text and (match := LEAD_IN.match(text)):
        rest = text[match.end() :]
        # the words were inside a \text whose braces end after them
        text = "\\text{" + rest if match.group().startswith("\\text") and not match.group().endswith("}") else rest
    return text


def usual_interval(match: re.Match[str]) -> str:
    """`]0;1]` as `(0,1]`."""
    opening, inside, closing = match.groups()
    return ("(" if opening == "]" else "[") + inside + (")" if closing == "[" else "]")


def fold_unicode(text: str) -> str:
    text = SUPERSCRIPT_RUN.sub(lambda match: "^{" + match.group().translate(SUPERSCRIPTS) + "}", text)
    text = SUBSCRIPT_RUN.sub(lambda match: "_{" + match.group().translate(SUBSCRIPTS) + "}", text)
    text = RADICAL.sub(lambda match: {"√": r"\sqrt ", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}[match.group(1)], text)
    text = text.translate(UNICODE)
    if text.isascii():
        return text
    # full-width letters and the like; the fraction slash stays as it is, no answer writes it by accident
    return "".join(c if c.isascii() or c == "⁄" else plain_form(c) for c in text)


def plain_form(character: str) -> str:
    plain = unicodedata.normalize("NFKC", character)
    return plain if plain.isascii() and len(plain) == 1 else character


def fold_latex(text: str) -> str:
    if "[" in text:
        text = ROW_SPACING.sub(r"\\\\", text)
    if "\\te" in text and ("pprox" in text or "about" in text or "ound" in text or "oughly" in text):
        text = ABOUT_INSIDE.sub(r" \\approx \1", ABOUT.sub(r"\1\\approx ", text))
    if "\\tag" in text or "\\label" in text:
        text = TAG.sub(" ", text)
    if arrow := LEADING_ARROW.match(text):
        text = text[arrow.end() :]
    if "\\\\" in text and "\\begin" not in text:
        text = ESCAPED_COMMAND.sub(r"\\", text).replace("\\\\", " ")
    if "\\begin" in text and "\\\\begin" in text:
        text = text.replace("\\\\begin", "\\begin").replace("\\\\end", "\\end")
    text = text.replace("\\!", "").replace("\\(", " ").replace("\\)", " ").replace("\\[", " ").replace("\\]", " ")
    text = MEASURE.sub("", BLANK.sub(" ", DELIMITER_DOT.sub(" ", text)))
    return COMMAND.sub(one_name, text)


def one_name(match: re.Match[str]) -> str:
    name = match.group(1)
    if name in DROPPED:
        return " "
    if glued := GLUED_BAR.match(name):
        return "|" + name[glued.end() :]
    synonym = SYNONYMS.get(name)
    if synonym is None:
        return match.group()
    return synonym + " " if synonym[-1:].isalpha() else synonym


def strip_ends(text: str) -> str:
    text = text.rstrip(" \\").lstrip()
    while text.endswith((".", ",", ";", ":")) and not text.endswith(("\\,", "\\;", "\\:")):
        text = text[:-1].rstrip(" \\")
    return text
