r"""Answers in text: the last box, the value behind a choice letter, and one way to write them.

What is $1 + 1$? $\textbf{(A)}\ 1 \qquad \textbf{(B)}\ 2 \qquad \textbf{(C)}\ 3$    the choices {A: 1, B: 2, C: 3}
The sum is $\boxed{\textbf{(B)}\ 2}$.                                              the answer 2
"""

import re
from dataclasses import dataclass

from deepscaler.curation.normalise import PICTURE
from deepscaler.reward.response import boxed_answer

LETTERS = "ABCDEFGH"
FONT = r"\\(?:textbf|mathbf|mathrm|textrm|textsf|text|mbox|bf|rm)\s*"
LETTER = rf"([{LETTERS}])"
SPACE = r"(?:\\?[~\s:]|\\[,;])*"
# (A), \textbf{(A)}, \textbf{(A) }, (\mathrm{A}), \mathrm{\textbf{(A)}\ }, (\textbf{A}); on a line of its own, A) or A.
PARENTHESISED = rf"(?:{FONT}\{{?\s*){{0,2}}\(\s*(?:{FONT}\{{?\s*)?{LETTER}\s*\}}?\s*\){SPACE}(?:\}}{SPACE}){{0,2}}"
MARK = re.compile(rf"{PARENTHESISED}|(?m:^)\s*{LETTER}\s*[.)]\s+")
ASKS_FOR_LETTER = re.compile(
    r"\(?\s*\b(?:enter|type|write|give|answer|your answer|list)\b[^.]*\bletter\b.*$", re.I | re.S
)
SEVERAL = re.compile(r"\bletters\b|\bseparated by commas\b|\blist(?:ing)? (?:the|your) choices\b", re.IGNORECASE)
EDGE = re.compile(
    r"^(?:\\q?quad|\\indent|\\hspace\{[^}]*\}|\\[\s,;:!]|\\\\|\$\s*\$|[~\s,;])+"
    r"|(?:\\q?quad|\\[,;:!\]]|\\\\|\\|\$\s*\$|[~\s,;])+$"
)
LONE_LETTER = re.compile(rf"^(?:{FONT})?[{{(\s]*(?:{FONT})?[{{(\s]*{LETTER}[)}}\s.]*$")
LEADING_MARK = re.compile(rf"^{PARENTHESISED}")


@dataclass(frozen=True)
class Choices:
    """A problem without its choices, and these by letter."""

    stem: str
    values: dict[str, str]


def split_choices(problem: str, *, fewest: int, longest: int) -> Choices | None:
    """The choices at a problem's end, or None where it has none, they are pictures, or several of them may be right.

    A list of fewer than `fewest`, or with one of more than `longest` characters, is no list of choices.
    """
    text = PICTURE.sub(lambda picture: " " * len(picture.group()), problem)  # code of figures is full of (A), (B), (C)
    marks = last_run([mark for mark in MARK.finditer(text) if stands_alone(text, mark.start())])
    if len(marks) < fewest:
        return None
    tail = text[marks[-1].end() :]
    asked = ASKS_FOR_LETTER.search(tail)
    ends = [*(mark.start() for mark in marks[1:]), marks[-1].end() + (asked.start() if asked else len(tail))]
    values = {letter_of(mark): trim(problem[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)}
    if SEVERAL.search(tail) or not all(is_choice(value, longest) for value in values.values()):
        return None
    stem = re.sub(r"(?:\\q?quad|\\\\|\\\[|\s)+$", "", problem[: marks[0].start()])
    if stem.endswith("$") and stem.count("$") % 2:
        stem = stem[:-1].rstrip()
    return Choices(stem, values) if stem else None


def stands_alone(text: str, start: int) -> bool:
    """Whether a mark is one, and not the argument in f(A)."""
    before = text[:start]
    return not before[-1:].isalnum() or before.endswith("quad")


def is_choice(value: str, longest: int) -> bool:
    return bool(value) and len(value) <= longest and "?" not in value and "[asy]" not in value


def last_run(marks: list[re.Match[str]]) -> list[re.Match[str]]:
    """The last marks that read A, B, C … in order."""
    for start in range(len(marks) - 1, -1, -1):
        if letter_of(marks[start]) == "A":
            run = marks[start:]
            letters = "".join(letter_of(mark) for mark in run)
            return run if LETTERS.startswith(letters) else []
    return []


def letter_of(mark: re.Match[str]) -> str:
    return next(group for group in mark.groups() if group)


def trim(value: str) -> str:
    """A choice's text without the spaces, dollars and commas around it."""
    before = None
    while before != value:
        before, value = value, EDGE.sub("", value.strip())
        if value.count("$") % 2:  # the list's own opening or closing dollar
            value = value.removeprefix("$") if value.startswith("$") else value.removesuffix("$")
        elif len(value) > 1 and value[0] == value[-1] == "$" and value.count("$") == 2:
            value = value[1:-1]
    if value.count("}") > value.count("{") and value.endswith("}"):
        value = value[:-1].rstrip()
    return value


def choice_letter(answer: str) -> str | None:
    r"""The letter of an answer that is nothing but a letter: `B`, `(B)`, `\textbf{(B)}`."""
    match = LONE_LETTER.match(answer)
    return match.group(1) if match else None


def marked_value(answer: str) -> str | None:
    r"""The value in an answer that has a choice's mark before it, as `\textbf{(B)}\ 5` has 5."""
    match = LEADING_MARK.match(answer.strip())
    value = trim(answer.strip()[match.end() :]) if match else ""
    return value or None


def tidy(answer: str) -> str:
    """An answer as it will be graded: without the dollars, box and full stop around it, and without leading zeros."""
    answer = answer.strip()
    if answer.startswith("\\boxed") and (content := boxed_answer(answer, "strict")):
        answer = content.strip()
    answer = answer.rstrip(".").strip() if not answer.endswith("..") else answer
    if len(answer) > 1 and answer[0] == answer[-1] == "$" and "$" not in answer[1:-1]:
        answer = answer[1:-1].strip()
    if re.fullmatch(r"0\d+", answer):
        answer = answer.lstrip("0") or "0"
    return answer
