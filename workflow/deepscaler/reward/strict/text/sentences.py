"""Sentences that say what the gold says in a word: `the graph is an ellipse`, `Yes, it is`."""

import re

from deepscaler.reward.strict.text.markup import ARTICLE, NO_BRACES, WRAPPERS
from deepscaler.reward.strict.text.phrases import IDLE, vocabulary

SENTENCE_WORD = re.compile(r"[a-z'-]+")
NO_SENTENCE = re.compile(r"[^a-z ,.;:'!()-]")
NEGATIONS = vocabulary(
    "not no never neither nor none cannot nobody without isn't doesn't wrong false incorrect impossible"
)
JOINERS = vocabulary("and or either but except")
COPULAS = vocabulary("is are was were be")
VERBS = COPULAS | vocabulary("has have had will wins won gets got does did can")
KINDS = vocabulary(
    "function functions curve graph number numbers triangle triangles day month direction sequence matrix set line case"
)


def says(gold: str, answer: str) -> bool:
    """Whether a sentence says the gold's words and nothing else: `the graph is an ellipse`, `Yes, it is`."""
    ours, theirs = (WRAPPERS.sub("", text).translate(NO_BRACES).lower() for text in (gold, answer))
    said, words = ARTICLE.sub("", ours).split(), SENTENCE_WORD.findall(ARTICLE.sub("", theirs))
    size = len(said)
    if not 0 < size < len(words) or not all(map(str.isalpha, said)) or NO_SENTENCE.search(theirs):
        return False
    if said in (["yes"], ["no"]):
        opposite = {"yes", "no"} - {said[0]}
        denied = said == ["yes"] and not NEGATIONS.isdisjoint(words)
        return words[0] == said[0] and not denied and opposite.isdisjoint(words) and JOINERS.isdisjoint(words)
    if not (NEGATIONS | JOINERS).isdisjoint(words):
        return False
    before, behind = words[:-size], words[size:]
    named = words[-size:] == said and (before[-1] in COPULAS or IDLE.issuperset(before))
    subject = words[:size] == said and (behind[0] in VERBS or IDLE.issuperset(behind))
    return named or subject or (words[:-1] == said and words[-1] in KINDS)
