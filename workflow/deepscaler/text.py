"""Text for people: numbers, durations, and what others wrote, without what a terminal would obey."""

import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

OBEYED = frozenset(("Cc", "Cf", "Co", "Cs", "Zl", "Zp"))
"""Unicode's categories of control, format and private characters, surrogates, and breaks of lines and paragraphs."""


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How a cell begins that a spreadsheet evaluates, or that it trims first."""
NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")


def printable(text: str) -> str:
    """The text with characters that move a cursor, colour, reorder or hide written out: ESC is `\\x1b`.

    What others wrote (answers, names in files, logs) passes through here on its way to a terminal.
    """
    if text.isprintable():
        return text
    return "".join(character if is_shown(character) else escaped(character) for character in text)


def is_shown(character: str) -> bool:
    return character.isprintable() or character in "\n\t" or unicodedata.category(character) not in OBEYED


def cell(value: Any) -> Any:
    """A value for a table that people open: text that a spreadsheet would take for a formula gets an apostrophe."""
    if isinstance(value, str) and value.startswith(FORMULA) and not NUMBER.fullmatch(value):
        return "'" + value
    return value


def escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def duration(seconds: float | None) -> str:
    """`2 d 3 h`, `3 h 05 min`, `5 min 07 s` or `7 s`; empty for None, `unknown` for what is not finite."""
    if seconds is None:
        return ""
    if not math.isfinite(seconds):
        return "unknown"
    days, rest = divmod(round(seconds), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def amount(number: float) -> str:
    """`1,234`, `12`, `1.2` or `0.012`: whole from 10 on, two digits below."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table in Markdown, a line a row."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
