r"""Whether two problems have one answer, whatever their last step makes of it.

`\frac{3}{8}` is 11 where the other problem ends in "m and n are relatively prime. Find m + n", 5371 is 371 where it
asks for the remainder by 1000, and `2a + 1` is `2t + 1` where the variable has another letter.
"""

import re
from collections.abc import Sequence

from deepscaler.curation.skeleton import skeleton
from deepscaler.reward.pool import GradingPool
from deepscaler.reward.verdicts import STRICT
from deepscaler.settings.grading import Grading

Asked = tuple[str, list[str]]
"""A problem and the answers that are right for it."""

SUM_ASKED = re.compile(
    r"\b(?:find|is|compute|determine|evaluate|of) (?:\d{1,6} )?x(?: \+ (?:\d{1,6} )?x){1,5}(?! [x+*^-])"
)
REMAINDER_ASKED = re.compile(r"\bremainder when [^.?]{1,300}?\bdivided by (\d{3,6})\b")
"""By less, a remainder is some other problem's answer by chance."""
NUMERAL = re.compile(r"\d{1,12}")
LONGEST = 80
"""Characters of an answer that may have another form."""
FEWEST_SIGNS = 3
"""Tokens of an answer that is compared without its letters: below, the letter is the answer."""


def same_answers(pairs: Sequence[tuple[Asked, Asked]], grading: Grading) -> list[bool]:
    """Of each pair of problems, whether one has an answer that is right for the other."""
    if not pairs:
        return []
    with GradingPool(seconds=grading.seconds, memory_mb=grading.memory_mb) as pool:
        verdicts = pool.grade_pairs((golds, answer, STRICT) for (_, golds), (_, answers) in pairs for answer in answers)
        agreed = [True in [next(verdicts).correct for _ in answers] for _, (_, answers) in pairs]
    return [
        same or same_but_for_letters(one[1], other[1]) or same_but_for_form(one, other) or same_but_for_form(other, one)
        for same, (one, other) in zip(agreed, pairs, strict=True)
    ]


def same_but_for_letters(golds: list[str], answers: list[str]) -> bool:
    shapes = [{skeleton(f"${answer}$") for answer in some if len(answer) <= LONGEST} for some in (golds, answers)]
    return any(shape.count(" ") >= FEWEST_SIGNS - 1 for shape in shapes[0] & shapes[1])


def same_but_for_form(contest: Asked, plain: Asked) -> bool:
    """Whether `contest` asks for one number made of `plain`'s answer."""
    wanted = {int(answer) for answer in contest[1] if NUMERAL.fullmatch(answer)}
    found = [[int(part) for part in NUMERAL.findall(answer)] for answer in plain[1] if len(answer) <= LONGEST]
    if not wanted or not any(found):
        return False
    text = skeleton(contest[0])
    if SUM_ASKED.search(text) and any(parts and sum(parts) in wanted for parts in found):
        return True
    asked = REMAINDER_ASKED.search(text)
    modulus = int(asked[1]) if asked else 0
    return modulus > 0 and any(len(parts) == 1 and parts[0] % modulus in wanted for parts in found)
