"""Problems as keys: what stays the same when only the typesetting changes."""

import re
from collections.abc import Iterator

from deepscaler.curation.characters import folded

# Commands that change how mathematics looks, not what it says.
LOOKS = frozenset(
    (
        *("left", "right", "big", "bigl", "bigr", "bigg", "biggl", "biggr", "displaystyle", "textstyle", "limits"),
        *("qquad", "quad", "hspace", "vspace", "noindent", "newline", "linebreak", "par", "begin", "end", "center"),
        *("mathrm", "mathbf", "mathit", "textbf", "textit", "textrm", "text", "emph", "bf", "rm", "it", "mbox"),
        *("boldsymbol", "operatorname", "nolimits", "centering"),
    )
)
SAME = {"dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "le": "leq", "ge": "geq", "ne": "neq", "to": "rightarrow"}

MARKUP = re.compile(r"\\\\|\\[,;:!>% ]|\\[\[\]()]|[_^]\{\s*\}")
"""LaTeX's line breaks, spaces and marks of displayed formulas, and the empty indices of contest wikis."""
PRIME_COMMAND = re.compile(r"(?:\^\s{0,4}\{?\s{0,4})?\\prime(?![a-z])")
PRIMES = re.compile(r"(?<![^\W\d_][^\W\d_])(?<=[^\W\d_])'+(?!(?:[stdm]|ll|re|ve)\b)")
"""Behind a lone letter: elsewhere they are apostrophes and quotes."""
PRIME = "\N{PRIME}"
TOKEN = re.compile(r"\\[a-z]+|[^\W\d_]+|\d+(?:\.\d+)?|[^\s\w]|_")
PUNCTUATION = frozenset("$,.;:?{}'\"`~&\\")
PICTURE = re.compile(r"\[asy\].*?(?:\[/asy\]|$)", re.DOTALL)
"""The code of a figure."""
NUMERAL = re.compile(r"\d+(?:\.\d+)?")


def tokens(text: str) -> Iterator[str]:
    """Words, LaTeX commands, numerals and symbols in order, without what only concerns the looks."""
    text = PRIME_COMMAND.sub("'", folded(text).casefold())
    text = MARKUP.sub(" ", PRIMES.sub(lambda primes: PRIME * len(primes.group()), text))
    for token in TOKEN.findall(text):
        if token[0] == "\\" and len(token) > 1:
            name = token[1:]
            if name not in LOOKS:
                yield "\\" + SAME.get(name, name)
        elif token not in PUNCTUATION:
            yield token


def canonical(text: str) -> str:
    """A key that is equal for problems of equal text, whatever their case, spacing, markup and punctuation.

    Operators, numerals and every word stay: problems that differ in any of them have different keys.
    """
    return " ".join(tokens(text))


def without_figures(text: str) -> str:
    return PICTURE.sub(" ", text)


def words(text: str) -> list[str]:
    """The words and numerals of a problem, in order: the units of n-grams. Symbols and figures are left out."""
    return [token.lstrip("\\") for token in tokens(without_figures(text)) if token[0] == "\\" or token[0].isalnum()]


def numerals(text: str) -> tuple[str, ...]:
    """The numerals of a problem in order: what its siblings from the same template differ in."""
    return tuple(NUMERAL.findall(folded(text)))
