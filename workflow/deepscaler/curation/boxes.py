r"""All boxes of a solution, in one pass, and whether they say one thing.

`so $x = \boxed{5}$ or $\boxed{-3}$`     two answers, listed together: 5, -3
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from deepscaler.reward.response import is_escaped

LONGEST_SOLUTION = 2_000_000
"""Characters that are looked at: the last ones, where the answer is."""
SIGN = re.compile(r"\\(?:boxed|fbox)\s{0,8}\{|\\boxed\s{0,8}([^\s{}\\$][^\s{}\\$.,;]{0,200})|[{}]")
"""A box's beginning, a bare box, or a brace."""
BETWEEN = re.compile(r"(?:[\s$.,;:&]|\\[,;:! ]|\\q?quad|\\text|\{|\}|\b(?:or|and)\b|[a-z]\s{0,2}=){1,40}")
"""What stands between boxes that are listed together."""
JOINED = re.compile(r"\\(?:text|mbox|textrm|mathrm)\s{0,2}\{\s{0,4}(?:or|and)\s{0,4}\}|\s(?:or|and)\s")


@dataclass(frozen=True)
class Box:
    start: int
    end: int
    content: str


def boxes(text: str) -> list[Box]:
    """The boxes of a text in order, the inner ones where they are nested; bare ones only where there are no others."""
    text = text[-LONGEST_SOLUTION:]
    found: list[Box] = []
    bare: list[Box] = []
    open_braces: list[tuple[int, int] | None] = []
    for sign in SIGN.finditer(text):
        if sign.group() in ("{", "}") and is_escaped(text, sign.start()):
            continue
        if sign.group() == "}":
            begun = open_braces.pop() if open_braces else None
            if begun and not (found and found[-1].start > begun[0]):  # which would hold a box
                found.append(Box(begun[0], sign.end(), text[begun[1] : sign.start()]))
        elif sign.group() == "{":
            open_braces.append(None)
        elif sign.group(1):
            bare.append(Box(sign.start(), sign.end(), sign.group(1)))
        else:
            open_braces.append((sign.start(), sign.end()))
    return found or bare


def listed_together(text: str, found: list[Box]) -> bool:
    """Whether nothing but `or`, `and` and punctuation stands between boxes, so that all of them are the answer."""
    text = text[-LONGEST_SOLUTION:]
    return all(BETWEEN.fullmatch(text[one.end : other.start]) for one, other in pairwise(found))


def holds_several(answer: str) -> bool:
    """Whether a box holds answers that are joined by words."""
    return bool(JOINED.search(answer))
