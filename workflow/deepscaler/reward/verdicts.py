"""Verdicts, and the names of the two modes and the three think rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Mode = Literal["paper", "strict"]
STRICT: Mode = "strict"
"""`paper`: the verdicts of DeepScaleR's grader. `strict`: mathematical equivalence as well as we can decide it."""

ThinkRule = Literal["required", "prefilled", "none"]
"""Which think tags a response must hold: both, only the closing one (the chat template wrote the other), or none."""

Golds = str | Sequence[str]
"""One accepted answer, or several, any of which counts."""

MODES: tuple[Mode, ...] = get_args(Mode)
THINK_RULES: tuple[ThinkRule, ...] = get_args(ThinkRule)

MAX_ANSWER = 4000
"""Characters of an answer beyond which it is refused; the longest gold of the five benchmarks has about 200."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer is right. `reason` names the layer that decided, as `layer: what it saw`."""

    correct: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ResponseVerdict:
    """Whether a response earns its reward; `answer` is what its last box holds, None where there is none."""

    correct: bool
    reason: str
    answer: str | None
    well_formed: bool


class Refused(Exception):
    """Text that a parser must not see: outside the whitelist, or beyond a cap. Graded as wrong, by reason."""
