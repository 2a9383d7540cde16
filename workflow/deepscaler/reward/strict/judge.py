"""The layers of the strict grader, in order; the first that can decide does."""

import re
from contextlib import suppress
from fractions import Fraction

from deepscaler.reward.strict.compare.compare import equal, kind_of
from deepscaler.reward.strict.compare.values import TooMuchWork
from deepscaler.reward.strict.parse.answers import parse_answer, read_answer
from deepscaler.reward.strict.parse.numerals import read_number
from deepscaler.reward.strict.parse.tokens import GREEK, tokenize
from deepscaler.reward.strict.parse.units import split_unit
from deepscaler.reward.strict.parse.wrapping import has_thousands
from deepscaler.reward.strict.text import words
from deepscaler.reward.strict.text.clean import clean
from deepscaler.reward.strict.text.spoken_numbers import as_digits
from deepscaler.reward.strict.tree import Answer, Collection, Scalar, symbols
from deepscaler.reward.verdicts import MAX_ANSWER, Refused, Verdict

LETTER = rf"(?:\\(?:{'|'.join(sorted(GREEK))})(?![A-Za-z])|[A-Za-z](?![A-Za-z]{{3}}))(?:_\w|_\{{\w+\}})?"
WIDE_SLASH = re.compile(rf"/ *((?:{LETTER} *){{2,}})")
PLAIN_UNIT = re.compile(r"[A-Za-z}Ω]$|[A-Za-z}]\^?[{-]*[0-9]\}?$")
UPRIGHT_END = re.compile(r"\\(?:mathrm|rm|text|textrm|mbox|operatorname) *\{[^{}0-9]*\}(?:\^\{?-?[0-9]\}?)?$")
APART = re.compile(r"[0-9)}] +(?:\\frac *\{|\\?[A-Za-z])[^0-9+=]*(?:\^\{?-?[0-9]\}?)?\}?$")
"""A space before letters at the end."""
ONLY_UNITS = re.compile(r"\\(?:mu|Omega|odot|oplus)(?![A-Za-z])|[ΩÅ]")
CHOICE_BEFORE = re.compile(r"\([A-E]\) +(?=[^ +*/^-])")
"""The letter of a choice before its value, for a gold that is a value: `(B) 17`."""
LETTERS = re.compile(r"[^\W\d_]+")
FLOAT_DIGITS = 16
NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)")


def grade(gold: str, answer: str) -> Verdict:
    """Whether `answer` is mathematically what `gold` is; the reason names the layer that decided."""
    if gold.strip() == answer.strip():
        return Verdict(True, "text: identical")
    if len(gold) > MAX_ANSWER or len(answer) > MAX_ANSWER:
        return Verdict(False, "refused: too long")
    ours, theirs = (as_digits(clean(text)) for text in (gold, answer))
    if not ours or not theirs:
        return Verdict(False, "text: empty")
    if ours == theirs or words.squeezed(ours) == words.squeezed(theirs):
        return Verdict(True, "clean-up: equal")
    if NUMBER.fullmatch(ours) and NUMBER.fullmatch(theirs):
        return Verdict(same_number(exactly(ours), exactly(theirs), ours, theirs), "numbers: compared exactly")
    if words.unwrapped(ours) == words.unwrapped(theirs):
        return Verdict(True, "words: equal")
    if (decided := words.compare(ours, theirs)) is not None:
        return Verdict(*decided)
    try:
        return compare_trees(ours, theirs)
    except TooMuchWork as refusal:
        return Verdict(False, f"refused: {refusal}")


def unreadable(text: str) -> str | None:
    """Why the parser does not read a text that is no word either; None where it does."""
    cleaned = clean(text)
    try:
        parse_answer(cleaned)
    except Refused as refusal:
        return None if words.plain(cleaned).isalpha() and "\\begin" not in cleaned else str(refusal)
    return None


def exactly(text: str) -> Fraction:
    return read_number(text.lstrip("-")).number * (-1 if text.startswith("-") else 1)


def same_number(one: Fraction, other: Fraction, *texts: str) -> bool:
    """Equality, but for the last bits of a float that was printed whole: `0.30000000000000004` is 0.3."""
    if one == other:
        return True
    printed_float = any("." in text and len(text.strip("-0.")) > FLOAT_DIGITS for text in texts)
    return printed_float and abs(one - other) <= abs(one) * Fraction(1, 2**51)


def compare_trees(gold: str, answer: str) -> Verdict:
    trees: list[Answer] = []
    for name, text in (("gold", gold), ("answer", answer)):
        try:
            trees.append(parse_answer(text))
        except Refused as refusal:
            return Verdict(False, f"text: differs, {name} not read ({refusal})")
    kinds = " and ".join(dict.fromkeys(map(kind_of, trees)))
    if equal(trees[0], trees[1]):
        return Verdict(True, f"{kinds}: equal")
    if equal_as_lists(gold, answer, trees):
        return Verdict(True, f"{kinds}: equal as lists")
    if equal_with_wide_slash(gold, answer):
        return Verdict(True, f"{kinds}: equal, letters behind a slash read as its denominator")
    if equal_restated(trees, answer):
        return Verdict(True, f"{kinds}: equal, stated twice")
    if (choice := CHOICE_BEFORE.match(answer)) and not gold.startswith("("):
        return compare_trees(gold, answer[choice.end() :])
    if equal_with_plain_unit(trees, (gold, answer)):
        return Verdict(True, "scalar: equal, the unit as letters")
    return Verdict(False, f"{kinds}: differ")


def equal_with_wide_slash(gold: str, answer: str) -> bool:
    """`t/RC` may be t/(RC): with letters right behind a slash people mean that more often than (t/R)C."""
    if "/" not in gold and "/" not in answer:
        return False
    texts = [WIDE_SLASH.sub(r"/(\1)", text) for text in (gold, answer)]
    if texts == [gold, answer]:
        return False
    with suppress(Refused):
        return equal(parse_answer(texts[0]), parse_answer(texts[1]))
    return False


def equal_restated(trees: list[Answer], answer: str) -> bool:
    r"""`\frac34 (0.75)`: one value in two spellings, one of them in brackets."""
    start = answer.rfind("(")
    if isinstance(trees[0], Collection) or not answer.endswith(")") or start < 1:
        return False
    try:
        first, second = parse_answer(answer[:start].strip()), parse_answer(answer[start + 1 : -1].strip())
    except Refused:
        return False
    return first != second and equal(trees[0], first) and equal(first, second)


def equal_with_plain_unit(trees: list[Answer], texts: tuple[str, str]) -> bool:
    r"""`5 \text{ m/s}` and `5 m/s`, whose letters are symbols at first sight.

    Beside a gold with a unit any letters that name one will do, beside a bare number only what is hardly a factor.
    """
    for index in (0, 1):
        tree, other = trees[index], trees[1 - index]
        if not isinstance(tree, Scalar) or not isinstance(other, Scalar) or tree.unit or not symbols(tree.node):
            continue
        is_bare = index == 1 and not symbols(other.node) and may_be_apart(texts[1])
        if not other.unit and not is_bare:
            continue
        number = with_plain_unit(texts[index])
        if number is not None and (other.unit or is_clearly_unit(texts[1], number.unit)):
            return equal(*((trees[0], number) if index else (number, trees[1])))
    return False


def with_plain_unit(text: str) -> Scalar | None:
    """The quantity that a text is when letters at its end name a unit; None where they do not."""
    if not PLAIN_UNIT.search(text):
        return None
    with suppress(Refused):
        tokens, unit = split_unit(tokenize(text), letters=True)
        if unit and isinstance(number := read_answer(tokens, 0), Scalar):
            return Scalar(number.node, unit)
    return None


def may_be_apart(text: str) -> bool:
    """Whether letters at the end stand apart from what is before them."""
    return bool(APART.search(text) or UPRIGHT_END.search(text) or ONLY_UNITS.search(text))


def is_clearly_unit(text: str, unit: str) -> bool:
    """Whether letters behind a bare number are no mere small letter, which would be a factor."""
    words = LETTERS.findall(unit)
    is_letter = len(words) == 1 and len(words[0]) == 1 and words[0].islower()
    return not is_letter or bool(UPRIGHT_END.search(text) or ONLY_UNITS.search(text))


def equal_as_lists(gold: str, answer: str, trees: list[Answer]) -> bool:
    """`100,200` may be a list as well as a number: read it as one where the other side is a list."""
    if not (has_thousands(gold) or has_thousands(answer)):
        return False
    texts = (gold, answer)
    try:
        lists = [parse_answer(text, thousands=False) for text in texts]
    except Refused:
        return False
    return any(
        isinstance(tree, Collection) and not has_thousands(text) for tree, text in zip(trees, texts, strict=True)
    ) and equal(lists[0], lists[1])
