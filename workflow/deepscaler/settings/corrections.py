"""Golds that do not say what their own solution says, and what it says: config/corrections.yaml."""

import hashlib
import json
from collections.abc import Sequence

from pydantic import Field

from deepscaler.settings.base import Name, Strict

DIGEST = r"^[0-9a-f]{16}$"


class Correction(Strict):
    problem: str = Field(pattern=DIGEST)
    """`digest` of the problem's text."""
    gold: str = Field(pattern=DIGEST)
    """`digest` of the accepted answers as the benchmark has them, a JSON list: of other golds this says nothing."""
    answers: list[str] = Field(min_length=1)
    """What is accepted instead."""
    reason: str
    """Why the gold is wrong, with a source."""


class CorrectionFile(Strict):
    corrections: dict[Name, list[Correction]]
    """Benchmark → its corrections."""


def digest(text: str) -> str:
    """The first 16 digits of the SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def corrected_answers(known: Sequence[Correction], problem: str, answers: Sequence[str]) -> list[str] | None:
    """What is accepted instead of a problem's golds; None where they are not corrected."""
    keys = digest(problem), digest(json.dumps(list(answers), ensure_ascii=False))
    return next((entry.answers for entry in known if (entry.problem, entry.gold) == keys), None)
