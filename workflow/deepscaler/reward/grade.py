"""One pair, one verdict."""

import re

from deepscaler.reward.paper import grade as grade_paper
from deepscaler.reward.strict import grade as grade_strict
from deepscaler.reward.verdicts import MAX_ANSWER, Golds, Mode, Verdict

GRADERS = {"paper": grade_paper, "strict": grade_strict}
PLAIN_INTEGER = re.compile(r"-?[0-9]{1,15}")


def golds_of(golds: Golds) -> tuple[str, ...]:
    """The accepted answers as a tuple of strings; a number stands for its usual spelling."""
    several = (golds,) if isinstance(golds, str | int | float) else golds
    return tuple(str(gold) for gold in several)


def grade_pair(golds: Golds, prediction: str, mode: Mode) -> Verdict:
    """Whether `prediction` is right for any of `golds`. Never raises.

    Bounded in size, not in time: where the text is untrusted and a second matters, call it through `GradingPool`.
    """
    try:
        several = golds_of(golds)
        if (verdict := at_once(several, prediction, mode)) is not None:
            return verdict
        for gold in several:
            verdict = GRADERS[mode](gold, prediction)
            if verdict.correct:
                return verdict
        return verdict or Verdict(False, "no gold answer")
    except Exception as error:  # the last line of defence: a reward function must not stop a run of weeks
        return Verdict(False, f"error: {type(error).__name__}")


def at_once(golds: tuple[str, ...], prediction: str, mode: Mode) -> Verdict | None:
    """The verdict where it takes no more than comparing strings or plain integers: safe and fast anywhere."""
    if prediction in golds:
        return Verdict(True, "identical")
    if len(prediction) > MAX_ANSWER:
        return Verdict(False, "refused: too long")
    if PLAIN_INTEGER.fullmatch(prediction) and golds and all(PLAIN_INTEGER.fullmatch(gold) for gold in golds):
        value = int(prediction)
        return Verdict(any(int(gold) == value for gold in golds), "integers: compared")
    return None
