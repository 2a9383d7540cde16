r"""From a response to its answer: the think tags, then the last `\boxed{}` after them.

Source: `rewards/math_reward.py` of DeepScaleR for `required`; the other two rules are for chat templates that write
`<think>` themselves, and for models that do not think.
"""

import re

from deepscaler.reward.grade import grade_pair
from deepscaler.reward.verdicts import Golds, Mode, ResponseVerdict, ThinkRule

OPENING, CLOSING = "<think>", "</think>"
MAX_RESPONSE = 2_000_000
"""Characters of a response that are looked at: the last ones, where the answer is."""

BOX = re.compile(r"\\(?:boxed|fbox)\s*(?=\{)")
BARE_BOX = re.compile(r"\\boxed\s*([^\s{}\\$][^\s{}\\$.,;]*)")


def solution_of(response: str, think: ThinkRule) -> str | None:
    """What follows the thinking, up to a second closing tag; None where the tags that `think` asks for are missing."""
    before, closing, after = response.partition(CLOSING)
    if think == "required" and not (closing and OPENING in response):
        return None
    if think == "prefilled" and not closing:
        return None
    return after.partition(CLOSING)[0] if closing else before


def boxed_answer(text: str, mode: Mode) -> str | None:
    r"""The content of the last box, braces balanced; None where there is none.

    `paper` knows `\boxed{...}` only, as upstream: a last box that is unbalanced or bare counts as no answer.
    `strict` also reads `\fbox{...}`, `\boxed {...}` and a bare `\boxed 5`.
    """
    if mode == "paper":
        start = text.rfind("\\boxed")
        content = braced(text, start) if start >= 0 else None
        return content if content is not None and text.startswith("\\boxed{", start) else None
    for match in reversed(list(BOX.finditer(text))):
        if (content := braced(text, match.start())) is not None:
            return content
    bare = BARE_BOX.findall(text)
    return bare[-1] if bare else None


def braced(text: str, start: int) -> str | None:
    """The content of the first balanced brace pair from `start` on."""
    depth, opened = 0, -1
    for match in re.finditer(r"[{}]", text[start:]):
        if match.group() == "{":
            opened = match.end() if opened < 0 else opened
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return text[start + opened : start + match.start()]
    return None


def answer_of(response: str, mode: Mode, think: ThinkRule) -> str | ResponseVerdict:
    """The boxed answer, or the verdict on a response that has none."""
    solution = solution_of(response[-MAX_RESPONSE:], think)
    if solution is None:
        return ResponseVerdict(False, "format: think tags missing", None, False)
    answer = boxed_answer(solution, mode)
    if answer is None:
        return ResponseVerdict(False, "format: no box", None, False)
    return answer


def grade_response(golds: Golds, response: str, mode: Mode, think: ThinkRule) -> ResponseVerdict:
    """Whether a response is well formed and its last box right for any of `golds`. Never raises.

    `response` is the model's text without the prompt. Bounded in size, not in time: see `GradingPool`.
    """
    answer = answer_of(response, mode, think)
    if isinstance(answer, ResponseVerdict):
        return answer
    verdict = grade_pair(golds, answer, mode)
    return ResponseVerdict(verdict.correct, verdict.reason, answer, True)
