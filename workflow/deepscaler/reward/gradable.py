"""Whether a gold answer can be graded at all: what curation keeps."""

from deepscaler.reward.grade import grade_pair
from deepscaler.reward.paper.forms import symbolic_form
from deepscaler.reward.paper.judge import is_evaluable
from deepscaler.reward.strict.judge import unreadable
from deepscaler.reward.verdicts import MAX_ANSWER, Mode, Refused


def gradable(answer: str, mode: Mode = "paper") -> tuple[bool, str]:
    """Whether the grader can decide for this gold, and why not.

    `paper` applies upstream's rule (`data/preprocess/deepscaler.ipynb`): the normalised answer must be evaluable.
    `strict` needs a gold that its parser reads, or a plain word.
    Both ask that the gold be accepted as an answer to itself.
    """
    answer = answer.strip()
    if not answer:
        return False, "empty"
    if len(answer) > MAX_ANSWER:
        return False, "too long"
    verdict = grade_pair(answer, answer, mode)
    if not verdict.correct:
        return False, f"not accepted for itself ({verdict.reason})"
    if mode == "paper":
        try:
            evaluable = is_evaluable(symbolic_form(answer))
        except Refused as refusal:
            return False, f"refused: {refusal}"
        if not evaluable:
            return False, "not evaluable: more than two letters, or a composite exponent"
    if mode == "strict" and (problem := unreadable(answer)) is not None:
        return False, f"not read: {problem}"
    return True, "gradable"
