r"""A problem without what a copyist changes: figures, names, variables, the ways to write a number.

`Let $a=\dfrac12$. Ann has 1,000 apples; she gives $a$.`   let v = 1 / 2 n has 1000 apples p gives v
"""

import re
from collections.abc import Iterator

from deepscaler.curation.characters import FUNCTION, folded
from deepscaler.curation.normalise import tokens, without_figures

NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
NUMBERS = {word: str(value) for value, word in enumerate(NUMBER_WORDS.split())}
PRONOUN = re.compile(r"s?he|her|his|him|hers|they|their|them|(?:him|her|them)sel(?:f|ves)")
THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\}|\\[,! ])(?=\d{3}(?!\d))")
BARE_FRACTION = re.compile(r"\\[dtc]?frac\s?(\d|\{[^{}]{1,60}\})\s?(\d)")
NAME = re.compile(r"(?<=[^.!?:] )[A-Z][a-z]+(?![A-Za-z])")
"""A capital within a sentence."""
FORMULA_MARK = re.compile(r"\$\$?|\\[\[\]()]")
PROSE = re.compile(r"(?:[A-Za-z]{3,20}[ ,]{1,3}){3}")
"""Words that say that a dollar before them was lost."""
VARIABLE, MARK = "x", "\0"
LONGEST_PRODUCT = 4
UNSAID = frozenset(("\\frac", "/", "(", ")"))
"""Signs for which there are other ways, or none."""
SAME = {"\\dots": "\\ldots", "\\cdots": "\\ldots", "\\cdot": "*", "\\times": "*", "\\to": "\\rightarrow"}


def skeleton(text: str) -> str:
    """The tokens that a copy has too, with a blank between them; every variable is `x`."""
    return " ".join(VARIABLE if token[0] == MARK else token for token in marked_tokens(text))


def formulas(text: str) -> list[str]:
    """Numerals, signs, commands and variables in order: what a slip in the words leaves as it was.

    Variables are numbered as they come, so that the formulas of two problems are equal where one renames the other's.
    """
    numbers: dict[str, str] = {}
    signs = (token for token in marked_tokens(text) if not token.isalpha())
    return [numbers.setdefault(token, f"x{len(numbers)}") if token[0] == MARK else token for token in signs]


def marked_tokens(text: str) -> Iterator[str]:
    """The tokens of a problem, its variables with a mark before their letter."""
    text = " ".join(without_figures(folded(text)).split())
    text = BARE_FRACTION.sub(r" \1 \2 ", THOUSANDS.sub("", text))
    for number, part in enumerate(FORMULA_MARK.split(text)):
        formula = number % 2 == 1 and not PROSE.search(part)
        for token in tokens(part if formula else NAME.sub("person", part)):
            yield from as_written_by_all(token, formula)


def as_written_by_all(token: str, formula: bool) -> Iterator[str]:
    """A token without what is a matter of taste: none, one, or a product's letters."""
    if token[0].isdigit():
        yield token.rstrip("0").rstrip(".") if "." in token else token
    elif not token.isalpha():
        if token not in UNSAID:
            yield SAME.get(token, token)
    elif is_product(token, formula):
        yield from (MARK + letter for letter in token)
    else:
        yield "they" if PRONOUN.fullmatch(token) else NUMBERS.get(token, token)


def is_product(word: str, formula: bool) -> bool:
    """Whether a word is variables side by side: in a formula a short one, elsewhere a lone letter."""
    return len(word) <= LONGEST_PRODUCT and not FUNCTION.fullmatch(word) if formula else len(word) == 1 and word != "a"
