r"""Answers in text: the last box, the value behind a choice letter, and one way to write them.

What is $1 + 1$? $\textbf{(A)}\ 1 \qquad \textbf{(B)}\ 2 \qquad \textbf{(C)}\ 3$    the choices {A: 1, B: 2, C: 3}
The sum is $\boxed{\textbf{(B)}\ 2}$.                                              the answer 2
"""

import re
from dataclasses import dataclass

from deepscaler.reward.response import boxed_answer

FONT = r"\\(?:textbf|mathbf|mathrm|textrm|textsf|text|mbox|bf|rm)\s*"
LETTER = r"([A-E])"
# (A), \textbf{(A)}, \textbf{(A) }, (\mathrm{A}), \mathrm{(A)\ }, (\textbf{A}) and, at the start of a line, A) or A.
MARK = re.compile(
    rf"(?:{FONT}\{{?\s*)?\(\s*(?:{FONT}\{{?\s*)?{LETTER}\s*\}}?\s*\)(?:\\?[~\s:]|\\[,;])*\}}?"
    rf"|(?m:^)\s*{LETTER}\s*[.)]\s+"
)
EDGE = re.compile(r"^(?:\\q?quad|\\hspace\{[^}]*\}|\\[\s,;:!]|\\\\|[~\s$,;])+|(?:\\q?quad|\\[,;:!]|\\\\|\\|[~\s$,;])+$")
LONE_LETTER = re.compile(rf"^(?:{FONT})?[{{(\s]*(?:{FONT})?[{{(\s]*{LETTER}[)}}\s.]*$")
LEADING_MARK = re.compile(rf"^(?:{FONT}\{{?\s*)?\(?\s*(?:{FONT}\{{?\s*)?{LETTER}\s*\}}?\s*\)(?:\\?[~\s:]|\\[,;])*\}}?")
MIN_CHOICES = 3
MAX_CHOICE = 200
"""Characters of a choice; what is longer is no list of choices."""


@dataclass(frozen=True)
class Choices:
    """A problem without its choices, and these by letter."""

    stem: str
    values: dict[str, str]


def split_choices(problem: str) -> Choices | None:
    """The choices at a problem's end, or None where it has none (or they are pictures)."""
    marks = last_run(list(MARK.finditer(problem)))
    if len(marks) < MIN_CHOICES:
        return None
    ends = [*(mark.start() for mark in marks[1:]), len(problem)]
    values = {letter_of(mark): trim(problem[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)}
    if not all(values.values()) or any(len(value) > MAX_CHOICE for value in values.values()):
        return None
    stem = problem[: marks[0].start()].rstrip()
    stem = re.sub(r"(?:\\q?quad|\\\\|\\\[|\s)+$", "", stem)
    if stem.endswith("$") and stem.count("$") % 2:
        stem = stem[:-1].rstrip()
    return Choices(stem, values) if stem else None


def last_run(marks: list[re.Match[str]]) -> list[re.Match[str]]:
    """The last marks that read A, B, C … in order."""
    for start in range(len(marks) - 1, -1, -1):
        if letter_of(marks[start]) == "A":
            run = marks[start:]
            letters = "".join(letter_of(mark) for mark in run)
            return run if letters == "ABCDE"[: len(letters)] else []
    return []


def letter_of(mark: re.Match[str]) -> str:
    return next(group for group in mark.groups() if group)


def trim(value: str) -> str:
    """A choice's text without the spaces, dollars and commas around it."""
    before = None
    while before != value:
        before, value = value, EDGE.sub("", value.strip())
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
