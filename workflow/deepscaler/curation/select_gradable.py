"""What the reward can grade and the model's context holds: the training set, and its card."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepscaler import records
from deepscaler.curation.dataset_card import write_card
from deepscaler.progress import progress
from deepscaler.reward.gradable import gradable
from deepscaler.reward.pool import GradingPool
from deepscaler.reward.verdicts import Mode
from deepscaler.settings.curation import SelectGradable

STEP = "select_gradable"
PROOF = re.compile(r"^\W*(?:prove|show)\b|\b(?:prove|show) that\b", re.IGNORECASE)
PART = re.compile(r"(?m)(?:^|\s)\(?(?:a|i|1)\)\s.+?(?:^|\s)\(?(?:b|ii|2)\)\s", re.DOTALL)

TokenCount = Callable[[str], int]
"""Tokens of a problem's whole prompt, chat template included."""


def select_gradable(
    problems: Path,
    output: Path,
    card: Path,
    removed: Path,
    settings: SelectGradable,
    count_tokens: TokenCount,
    workers: int = 1,
    scale: str = "",
) -> None:
    """Write the training set with its dataset card, and what was removed with the reason."""
    rows = records.read(problems, records.PROBLEM).to_pylist()
    reasons = [
        reason or too_long(row["problem"], count_tokens, settings.max_prompt_tokens)
        for row, reason in zip(rows, ungradable(rows, settings.mode, workers), strict=True)
    ]
    kept = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
    left = [{**row, "step": STEP, "reason": reason} for row, reason in zip(rows, reasons, strict=True) if reason]
    records.write(removed, left, records.REMOVED)
    write_card(card, scale, kept, settings)
    records.write(output, kept, records.PROBLEM)
    print(f"{len(kept)} of {len(rows)} problems are training data; {len(left)} leave:")
    for reason, count in Counter(row["reason"] for row in left).most_common():
        print(f"  {count} × {reason}")


def ungradable(rows: list[dict[str, Any]], mode: Mode, workers: int) -> list[str | None]:
    """Why each row cannot be graded, or None. Each answer is first graded against itself under guard."""
    answers = [row["answer"] for row in rows]
    with GradingPool(workers) as pool:
        pairs = ((answer, answer, mode) for answer in answers)
        verdicts = list(progress(pool.grade_pairs(pairs), total=len(rows), what="grading", unit="answer"))
    return [
        why_not(row["problem"], row["answer"], mode, verdict.correct, verdict.reason)
        for row, verdict in zip(rows, verdicts, strict=True)
    ]


def why_not(problem: str, answer: str, mode: Mode, accepted: bool, reason: str) -> str | None:
    """The reason why the reward cannot grade a problem by its answer, the plainest first; None where it can."""
    possible = False
    if accepted:
        possible, reason = gradable(answer, mode)
    if possible:
        return None
    if PROOF.search(problem):
        return "proof"
    if PART.search(problem) or PART.search(answer):
        return "several parts"
    return f"not gradable: {reason}"


def too_long(problem: str, count_tokens: TokenCount, most: int) -> str | None:
    return f"prompt over {most} tokens" if count_tokens(problem) > most else None
