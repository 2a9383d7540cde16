r"""Answers in text: the last box, the value behind a choice letter, and one way to write them.

What is $1 + 1$? $\textbf{(A)}\ 1 \qquad \textbf{(B)}\ 2 \qquad \textbf{(C)}\ 3$    the choices {A: 1, B: 2, C: 3}
The sum is $\boxed{\textbf{(B)}\ 2}$.                                              the answer 2
"""

import re
from dataclasses import dataclass

from deepscaler.curation.boxes import boxes
from deepscaler.curation.normalise import PICTURE

LETTERS = "ABCDEFGH"
BLANKS = r"\s{0,8}"
FONT = rf"\\(?:textbf|mathbf|mathrm|textrm|textsf|text|mbox|bf|rm){BLANKS}"
LETTER = rf"([{LETTERS}])"
SPACE = r"(?:\\?[~\s:]|\\[,;])*"
# (A), \textbf{(A)}, \textbf{(A) }, (\mathrm{A}), \mathrm{\textbf{(A)}\ }, (\textbf{A}); on a line of its own, A) or A.
PARENTHESISED = (
    rf"(?:{FONT}(?:\{{{BLANKS})?){{0,2}}\({BLANKS}(?:{FONT}(?:\{{{BLANKS})?)?"
    rf"{LETTER}{BLANKS}\}}?{BLANKS}\){SPACE}(?:\}}{SPACE}){{0,2}}"
)
MARK = re.compile(rf"{PARENTHESISED}|(?m:^)[^\S\n]*{LETTER}{BLANKS}[.)]\s+")
ASKS = re.compile(r"\b(?:enter|type|write|give|answer|your answer|list)\b", re.IGNORECASE)
ONE_LETTER = re.compile(r"\bletter\b", re.IGNORECASE)
SENTENCE = re.compile(r"[^.]+")
SEVERAL = re.compile(r"\bletters\b|\bseparated by commas\b|\blist(?:ing)? (?:the|your) choices\b", re.IGNORECASE)
LEADING = re.compile(
    r"\\q?quad|\\indent|\\hspace\{[^}]{0,40}\}|\\[\s,;:!]|\\\\|\$\s{0,40}\$|[~\s,;]",
)
TRAILING = (r"\qquad", r"\quad", r"\:", r"\!", r"\]", "\\", "~", ",", ";")
"""Ends of a choice that are none of it, beside spaces and a pair of dollars."""
LONGEST_ANSWER = 100
"""Characters of an answer that may be a letter, and of what stands around one."""
LONGEST_TRIMMED = 4096
"""Characters of a choice that is cleaned: longer ones are none, whatever the settings."""
LONE_LETTER = re.compile(rf"^(?:{FONT})?[{{(\s]{{0,8}}(?:{FONT})?[{{(\s]{{0,8}}{LETTER}[)}}\s.]*$")
LEADING_ZERO = re.compile(r"0\d+")
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
    ends = [*(mark.start() for mark in marks[1:]), marks[-1].end() + before_request(tail)]
    values = {letter_of(mark): trim(problem[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)}
    if SEVERAL.search(tail) or not all(is_choice(value, longest) for value in values.values()):
        return None
    stem = without_end(problem[: marks[0].start()], (r"\qquad", r"\quad", r"\\", r"\["))
    if stem.endswith("$") and stem.count("$") % 2:
        stem = stem[:-1].rstrip()
    return Choices(stem, values) if stem else None


def before_request(tail: str) -> int:
    """Where a request for the letter of the right choice begins in the text behind the last mark; its end without."""
    for sentence in SENTENCE.finditer(tail):
        asked = ASKS.search(sentence.group())
        letters = [found.start() for found in ONE_LETTER.finditer(sentence.group())]
        if asked and letters and letters[-1] > asked.end():
            before = tail[: sentence.start() + asked.start()].rstrip()
            return len(before) - before.endswith("(")
    return len(tail)


def stands_alone(text: str, start: int) -> bool:
    """Whether a mark is one, and not the argument in f(A)."""
    before = text[max(0, start - 4) : start]
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
    if len(value) > LONGEST_TRIMMED:
        return value.strip()
    before = None
    while before != value:
        before, value = value, without_end(without_start(value.strip()), TRAILING, dollars=True)
        if value.count("$") % 2:  # the list's own opening or closing dollar
            value = value.removeprefix("$") if value.startswith("$") else value.removesuffix("$")
        elif len(value) > 1 and value[0] == value[-1] == "$" and value.count("$") == 2:
            value = value[1:-1]
    if value.count("}") > value.count("{") and value.endswith("}"):
        value = value[:-1].rstrip()
    return value


def without_start(text: str) -> str:
    at = 0
    while found := LEADING.match(text, at):
        at = found.end()
    return text[at:]


def without_end(text: str, signs: tuple[str, ...], *, dollars: bool = False) -> str:
    """The text without the blanks and signs at its end, and without pairs of dollars that hold nothing."""
    end = len(text)
    while end:
        if text[end - 1].isspace():
            end -= 1
        elif sign := next((sign for sign in signs if text.endswith(sign, 0, end)), None):
            end -= len(sign)
        elif dollars and text[end - 1] == "$" and text[: end - 1].rstrip().endswith("$"):
            end = len(text[: end - 1].rstrip()) - 1
        else:
            break
    return text[:end]


def choice_letter(answer: str) -> str | None:
    r"""The letter of an answer that is nothing but a letter: `B`, `(B)`, `\textbf{(B)}`."""
    match = LONE_LETTER.match(answer) if len(answer) <= LONGEST_ANSWER else None
    return match.group(1) if match else None


def marked_value(answer: str) -> str | None:
    r"""The value in an answer that has a choice's mark before it, as `\textbf{(B)}\ 5` has 5."""
    match = LEADING_MARK.match(answer.strip())
    value = trim(answer.strip()[match.end() :]) if match else ""
    return value or None


def tidy(answer: str) -> str:
    """An answer as it will be graded: without the dollars, box and full stop around it, and without leading zeros."""
    answer = answer.strip()
    if answer.startswith("\\boxed") and (found := boxes(answer)):
        answer = found[-1].content.strip()
    answer = answer.rstrip(".").strip() if not answer.endswith("..") else answer
    if len(answer) > 1 and answer[0] == answer[-1] == "$" and "$" not in answer[1:-1]:
        answer = answer[1:-1].strip()
    if LEADING_ZERO.fullmatch(answer):
        answer = answer.lstrip("0") or "0"
    return answer
