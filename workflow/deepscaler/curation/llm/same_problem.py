"""Whether two problems are one, by a language model: asked only about pairs near the threshold."""

import re
from collections.abc import Callable
from pathlib import Path

from deepscaler.curation.llm.client import Reply, ask_all
from deepscaler.curation.llm.endpoints import Question
from deepscaler.settings.curation import LanguageModel

INSTRUCTION = """You are given two competition problems. They are the same problem when they ask for the same thing
about the same objects with the same numbers, whatever the wording, the names and the typesetting. They are different
when any number, condition or question differs, also where they come from the same template.
Reply with one word: same, or different."""


def judge_by(settings: LanguageModel, cache: Path) -> Callable[[list[tuple[str, str]]], list[bool | None]]:
    """A judge of pairs of problems; its verdict is None where the replies give none."""

    def judge(pairs: list[tuple[str, str]]) -> list[bool | None]:
        questions = [Question(INSTRUCTION, f"First:\n{first}\n\nSecond:\n{second}") for first, second in pairs]
        return [verdict_of(reply) for reply in ask_all(questions, settings, cache, "judging pairs")]

    return judge


def verdict_of(reply: Reply) -> bool | None:
    words = set(re.findall(r"\b(same|different)\b", (reply.text or "").lower()))
    return words == {"same"} if len(words) == 1 else None
