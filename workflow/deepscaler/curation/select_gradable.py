"""What the reward can grade and the model's context holds: the training set."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from deepscaler import records
from deepscaler.progress import progress
from deepscaler.reward.gradable import gradable
from deepscaler.reward.verdicts import Mode
from deepscaler.settings.curation import SelectGradable

STEP = "select_gradable"
PROOF = re.compile(r"^\W*(?:prove|show)\b|\b(?:prove|show) that\b", re.IGNORECASE)
PART = re.compile(r"(?m)(?:^|\s)\(?(?:a|i|1)\)\s.+?(?:^|\s)\(?(?:b|ii|2)\)\s", re.DOTALL)
ASK = r"(?:find|compute|determine|calculate|evaluate|prove|show|what|which|how|is|are|does|do)\b"
ASKED_PART = re.compile(rf"\(?\b(?:a|i|1)\)\s+{ASK}.+?\(?\b(?:b|ii|2)\)\s+{ASK}", re.IGNORECASE | re.DOTALL)
"""Parts that each ask: numbered conditions are no parts."""

TokenCount = Callable[[str], int]
"""Tokens of a problem's whole prompt, chat template included."""
SpecialToken = Callable[[str], str | None]
"""A special token of the model's that a problem's text holds: it would end the user's turn in the prompt."""


def select_gradable(
    *,
    problems: Path,
    output: Path,
    removed: Path,
    settings: SelectGradable,
    count_tokens: TokenCount,
    special_token: SpecialToken,
) -> None:
    """Write the training set, and what was removed with the reason."""
    rows = records.read(problems, records.PROBLEM).to_pylist()
    reasons = [
        ungradable(row["problem"], row["answer"], settings.mode)
        or live(row["problem"], special_token)
        or too_long(row["problem"], count_tokens, settings.max_prompt_tokens)
        for row in progress(rows, what="selecting", unit="problem")
    ]
    kept = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
    left = [{**row, "step": STEP, "reason": reason} for row, reason in zip(rows, reasons, strict=True) if reason]
    records.write(removed, left, records.REMOVED)
    records.write(output, kept, records.PROBLEM)
    print(f"{len(kept)} of {len(rows)} problems are training data; {len(left)} leave:")
    for reason, count in Counter(row["reason"] for row in left).most_common():
        print(f"  {count} × {reason}")


def ungradable(problem: str, answer: str, mode: Mode) -> str | None:
    """The reason why the reward cannot grade a problem by its answer, the most specific first; None where it can.

    An answer is compared with itself, which the graders decide by the text: nothing here computes with it.
    """
    possible, reason = gradable(answer, mode)
    if possible:
        return None
    if PROOF.search(problem):
        return "proof"
    if ASKED_PART.search(problem) or PART.search(answer):
        return "several parts"
    return f"not gradable: {reason}"


def live(problem: str, special_token: SpecialToken) -> str | None:
    return f"holds the special token {token!r}" if (token := special_token(problem)) else None


def too_long(problem: str, count_tokens: TokenCount, most: int) -> str | None:
    return f"prompt over {most} tokens" if count_tokens(problem) > most else None
