r"""From a response to its answer: the think tags, then the last `\boxed{}` after them.

Source: `rewards/math_reward.py` of DeepScaleR for `required`; the other two rules are for chat templates that write
`<think>` themselves, and for models that do not think.
"""

import re
from collections import deque

from deepscaler.reward.grade import grade_pair
from deepscaler.reward.verdicts import Golds, Mode, ResponseVerdict, ThinkRule

OPENING, CLOSING = "<think>", "</think>"
MAX_RESPONSE = 2_000_000
"""Characters of a response that are looked at: the last ones, where the answer is."""

BOX = re.compile(r"\\(?:boxed|fbox)\s*(?=\{)")
BRACE = re.compile(r"[{}]")
BARE_BOX = re.compile(r"\\boxed\s*([^\s{}\\$][^\s{}\\$.,;]*)")


def solution_of(response: str, think: ThinkRule, mode: Mode) -> str | None:
    """What follows the thinking, up to a second closing tag; None where the tags that `think` asks for are missing.

    `strict` leaves out whole blocks of more thinking, whose own closing tag ends nothing.
    """
    before, closing, after = response.partition(CLOSING)
    if think == "required" and not (closing and OPENING in response):
        return None
    if think == "prefilled" and not closing:
        return None
    if mode == "strict":
        after = without_thoughts(after)
    return after.partition(CLOSING)[0] if closing else before


def without_thoughts(text: str) -> str:
    """The text without its blocks between an opening tag and the closing one that comes next."""
    kept, position = [], 0
    while (start := text.find(OPENING, position)) >= 0:
        end = text.find(CLOSING, position)
        if end < start:  # none, or one that ends what stands before
            break
        kept.append(text[position:start])
        position = end + len(CLOSING)
    return "".join([*kept, text[position:]])


def boxed_answer(text: str, mode: Mode) -> str | None:
    r"""The content of the last box, braces balanced; None where there is none.

    `paper` knows `\boxed{...}` only, as upstream: a last box that is unbalanced or bare counts as no answer, and an
    escaped brace counts as a brace. `strict` also reads `\fbox{...}`, `\boxed {...}` and, where there is no box with
    braces, a bare `\boxed 5`, and knows that `\{` and `\}` open and close nothing. A last box that was cut off is no
    answer in either mode: who began it had taken back the one before.
    """
    if mode == "paper":
        return last_box_of_paper(text)
    has_box, content = last_box(text)
    if has_box:
        return content
    bare = deque(BARE_BOX.finditer(text), maxlen=1)
    return bare[0].group(1) if bare else None


def last_box_of_paper(text: str) -> str | None:
    start = text.rfind("\\boxed")
    if start < 0 or not text.startswith("\\boxed{", start):
        return None
    opening, depth = start + len("\\boxed"), 0
    for brace in BRACE.finditer(text, opening):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return text[opening + 1 : brace.start()]
    return None


def last_box(text: str) -> tuple[bool, str | None]:
    """Whether there is a box with braces, and the content of the one that begins last; None where it was cut off."""
    found = deque(BOX.finditer(text), maxlen=1)
    if not found:
        return False, None
    opening, depth = found[0].end(), 0
    for brace in BRACE.finditer(text, opening):
        if is_escaped(text, brace.start()):
            continue
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return True, text[opening + 1 : brace.start()]
    return True, None


def is_escaped(text: str, position: int) -> bool:
    """Whether an odd number of backslashes stands before a position."""
    start = position
    while start and text[start - 1] == "\\":
        start -= 1
    return bool((position - start) % 2)


def answer_of(response: str, mode: Mode, think: ThinkRule) -> str | ResponseVerdict:
    """The boxed answer, or the verdict on a response that has none."""
    solution = solution_of(response[-MAX_RESPONSE:], think, mode)
    if solution is None:
        return ResponseVerdict(False, "format: think tags missing", None, False)
    answer = boxed_answer(solution, mode)
    if answer is None:
        return ResponseVerdict(False, "format: no box", None, False)
    return answer


def grade_response(golds: Golds, response: str, mode: Mode, think: ThinkRule) -> ResponseVerdict:
    """Whether a response is well formed and its last box right for any of `golds`. Never raises.

    `response` is the model's text without the prompt. Bounded in size, not in time: untrusted responses go through
    `GradingPool`, whose workers find the answer, too.
    """
    answer = answer_of(response, mode, think)
    if isinstance(answer, ResponseVerdict):
        return answer
    verdict = grade_pair(golds, answer, mode)
    return ResponseVerdict(verdict.correct, verdict.reason, answer, True)
