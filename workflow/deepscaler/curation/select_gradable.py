"""What the reward can grade and the model's context holds: the training set."""

import re
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

from deepscaler import records
from deepscaler.progress import progress
from deepscaler.reward.gradable import gradable
from deepscaler.reward.verdicts import Mode
from deepscaler.settings.curation import SelectGradable

STEP = "select_gradable"
PROOF = re.compile(r"^\W*(?:prove|show)\b|\b(?:prove|show) that\b", re.IGNORECASE)
FIRST_PART = re.compile(r"(?:^|(?<=\s))\(?(?:a|i|1)\)\s", re.MULTILINE)
SECOND_PART = re.compile(r"(?:^|(?<=\s))\(?(?:b|ii|2)\)\s", re.MULTILINE)
ASK = r"(?:find|compute|determine|calculate|evaluate|prove|show|what|which|how|is|are|does|do)\b"
FIRST_ASKED = re.compile(rf"\b(?:a|i|1)\)\s{{1,40}}{ASK}", re.IGNORECASE)
SECOND_ASKED = re.compile(rf"\b(?:b|ii|2)\)\s{{1,40}}{ASK}", re.IGNORECASE)
"""Parts that each ask: numbered conditions are no parts."""

TokenCount = Callable[[str], int]
"""Tokens of a problem's whole prompt, chat template included."""


def select_gradable(
    *,
    problems: Path,
    output: Path,
    removed: Path,
    settings: SelectGradable,
    count_tokens: TokenCount,
    reserved: Collection[str] = (),
) -> None:
    """Write the training set, and what was removed with the reason.

    `reserved` are the tokenizer's special tokens, which it reads as such wherever their text stands.
    """
    rows = records.read(problems, records.PROBLEM).to_pylist()
    reasons = [
        ungradable(row["problem"], row["answer"], settings.mode)
        or special(row["problem"], reserved)
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
    if follows(FIRST_ASKED, SECOND_ASKED, problem) or follows(FIRST_PART, SECOND_PART, answer):
        return "several parts"
    return f"not gradable: {reason}"


def follows(first: re.Pattern[str], second: re.Pattern[str], text: str) -> bool:
    """Whether a match of `second` stands behind the first one of `first`, with text between."""
    begun = first.search(text)
    return bool(begun and second.search(text, begun.end() + 1))


def special(problem: str, reserved: Collection[str]) -> str | None:
    found = next((token for token in reserved if token in problem), None)
    return f"holds {found}, a special token of the model" if found else None


def too_long(problem: str, count_tokens: TokenCount, most: int) -> str | None:
    return f"prompt over {most} tokens" if count_tokens(problem) > most else None
