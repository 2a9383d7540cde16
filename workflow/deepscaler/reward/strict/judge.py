"""The layers of the strict grader, in order."""

from ..paper import grade as grade_paper
from ..verdicts import Verdict


def grade(gold: str, answer: str) -> Verdict:
    if gold.strip() == answer.strip():
        return Verdict(True, "text: identical")
    return grade_paper(gold, answer)
