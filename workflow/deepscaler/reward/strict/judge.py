"""The layers of the strict grader, in order; the first that can decide does."""

import re
from fractions import Fraction

from ..verdicts import MAX_ANSWER, Refused, Verdict
from . import external, words
from .answers import has_thousands, parse_answer
from .clean import clean
from .compare import equal, kind_of
from .expressions import read_number
from .tree import Answer, Collection

_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)")


def grade(gold: str, answer: str) -> Verdict:
    """Whether `answer` is mathematically what `gold` is; the reason names the layer that decided."""
    if gold.strip() == answer.strip():
        return Verdict(True, "text: identical")
    if len(gold) > MAX_ANSWER or len(answer) > MAX_ANSWER:
        return Verdict(False, "refused: too long")
    ours, theirs = (words.as_digits(clean(text)) for text in (gold, answer))
    if not ours or not theirs:
        return Verdict(False, "text: empty")
    if ours == theirs or ours.replace(" ", "") == theirs.replace(" ", ""):
        return Verdict(True, "clean-up: equal")
    if _NUMBER.fullmatch(ours) and _NUMBER.fullmatch(theirs):
        return Verdict(_exactly(ours) == _exactly(theirs), "numbers: compared exactly")
    if (decided := words.compare(ours, theirs)) is not None:
        return Verdict(*decided)
    return _compare_trees(ours, theirs)


def _exactly(text: str) -> Fraction:
    return read_number(text.lstrip("-")).number * (-1 if text.startswith("-") else 1)


def _compare_trees(gold: str, answer: str) -> Verdict:
    trees: list[Answer] = []
    for name, text in (("gold", gold), ("answer", answer)):
        try:
            trees.append(parse_answer(text))
        except Refused as refusal:
            return external.compare(gold, answer, f"{name} not read ({refusal})")
    kinds = (
        f"{kind_of(trees[0])} and {kind_of(trees[1])}" if kind_of(trees[0]) != kind_of(trees[1]) else kind_of(trees[0])
    )
    if equal(trees[0], trees[1]):
        return Verdict(True, f"{kinds}: equal")
    if _equal_as_lists(gold, answer, trees):
        return Verdict(True, f"{kinds}: equal as lists")
    return Verdict(False, f"{kinds}: differ")


def _equal_as_lists(gold: str, answer: str, trees: list[Answer]) -> bool:
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
