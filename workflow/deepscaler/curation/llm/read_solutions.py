"""Answers out of official solutions, read by a language model (the paper: gemini-1.5-pro-002, three votes)."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from deepscaler.curation.boxes import boxes
from deepscaler.curation.llm.client import Reply, ask_all
from deepscaler.curation.llm.endpoints import Question
from deepscaler.curation.normalise import canonical
from deepscaler.settings.curation import LanguageModel

INSTRUCTION = r"""You are given a competition problem and its official solution. State the final answer that the
solution arrives at. Do not solve the problem yourself and do not correct the solution.
Reply with the answer alone, in LaTeX, inside \boxed{}.
Where the problem offers choices, give the value of the right choice, not its letter.
Where the problem asks for a proof, or the solution states no single final answer, reply \boxed{none}."""

NO_ANSWER = re.compile(r"(?:\\text\{)?\s*none\s*\}?\.?", re.IGNORECASE)


@dataclass(frozen=True)
class ReadAnswer:
    """The answer, or why there is none."""

    answer: str | None
    reason: str | None = None


def read_solutions(
    pairs: list[tuple[str, str]], settings: LanguageModel, cache: Path, *, longest: int
) -> list[ReadAnswer]:
    """The answer to each (problem, solution), in order, by the majority of `settings.votes` replies.

    More than `longest` characters are no answer.
    """
    questions = [
        Question(INSTRUCTION, f"Problem:\n{problem}\n\nOfficial solution:\n{solution}", vote)
        for problem, solution in pairs
        for vote in range(settings.votes)
    ]
    replies = ask_all(questions, settings, cache, "reading solutions")
    votes = settings.votes
    return [majority(replies[start : start + votes], longest) for start in range(0, len(replies), votes)]


def majority(replies: list[Reply], longest: int) -> ReadAnswer:
    """The answer that more than half of the replies give."""
    read = [read_reply(reply, longest) for reply in replies]
    counts = Counter(canonical(one.answer) for one in read if one.answer)
    if not counts:
        return read[0]
    best, count = counts.most_common(1)[0]
    if 2 * count <= len(read):
        return ReadAnswer(None, f"replies disagree ({len(counts)} answers in {len(read)} replies)")
    return next(one for one in read if one.answer and canonical(one.answer) == best)


def read_reply(reply: Reply, longest: int) -> ReadAnswer:
    """The boxed answer of a reply; prose without a box is no answer."""
    if reply.text is None:
        return ReadAnswer(None, reply.reason)
    found = boxes(reply.text)
    answer = found[-1].content.strip() if found else ""
    if not answer:
        return ReadAnswer(None, "the reply has no box")
    if NO_ANSWER.fullmatch(answer):
        return ReadAnswer(None, "the solution has no single answer")
    if len(answer) > longest:
        return ReadAnswer(None, "the reply's answer is too long")
    return ReadAnswer(answer)
