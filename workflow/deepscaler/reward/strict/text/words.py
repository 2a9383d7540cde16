"""Answers that are words or a choice's letter."""

import re

from deepscaler.reward.strict.text.markup import ARTICLE, NO_BRACES, WRAPPERS
from deepscaler.reward.strict.text.sentences import says

WRAPPED = re.compile(WRAPPERS.pattern + r"\s*\{([^{}]*)\}")
IDLE_SPACE = re.compile(r"(?<![0-9]) +| +(?![0-9 ])")
BRACKETS = re.compile(r"[{}$\s]")
SEPARATOR = re.compile(r",|&|\band\b|\\&")
PLURAL = re.compile(r"(?<=[a-z]{3})(?<!s)s\b")
CHOICE_IN_BRACKETS = re.compile(r"\(([A-J])\)")
TIME = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])(?::([0-5][0-9]))?(?:([ap])\.?m\.?)?", re.I)
LISTED = re.compile(r"(?=.*(?:,|&|\band\b))(?=.*[A-Za-z]{2})[A-Za-z,&{}. -]+", re.S)
NAMED_CHOICE = re.compile(r"(?:option|choice|answer):?\(?([A-J])\)?", re.I)
WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
LETTERS = re.compile(r"[^\W\d_]+(?:[-,'’&.][^\W\d_]+)*")
CHOICE = re.compile(r"\(?([A-Ja-j])\)?")
DENIED_CHOICE = re.compile(
    r"\([A-J]\)\W*+(?:text\W*+)?(?:is|are|was|does|do|can|cannot|will)(?:n't)?\b.*\b(?:not|wrong|false|incorrect|never|impossible)\b"
    r"|\([A-J]\)\W*+(?:text\W*+)?(?:cannot|\w+n't)\b"
)
CHOICE_WITH_TEXT = re.compile(
    r"(?:\(([A-J])\)|([A-J])(?:[.):]| -(?= (?:an? |the )?[A-Za-z]{3,})))(?:\s+(?!or\b)|(?=[A-Za-z]))[^+*×\s].*", re.S
)


def plain(text: str) -> str:
    """The text without wrappers, braces, dollars, spaces and a final full stop; case kept."""
    return BRACKETS.sub("", WRAPPERS.sub("", text).replace("~", "")).rstrip(".").strip("\"'`")


def squeezed(text: str) -> str:
    """The text without the spaces that mean nothing; one between digits does, as in `1 1/2`."""
    return IDLE_SPACE.sub("", text)


def unwrapped(text: str) -> str:
    """The text without text commands and idle spaces; other braces, which carry meaning, stay."""
    return squeezed(WRAPPED.sub(r"\1", text))


def compare(gold: str, answer: str) -> tuple[bool, str] | None:
    """A verdict with its reason where the gold is a choice or words; None where it is neither."""
    ours, theirs = plain(gold), plain(answer)
    if (times := same_time(ours, theirs)) is not None:
        return times, "time: compared"
    if choice := CHOICE.fullmatch(ours):
        return compare_choice(gold, choice.group(1), answer, theirs)
    if len(ours) > 1 and ours.lower() == theirs.lower() and LETTERS.fullmatch(ours):
        return True, "words: equal"
    if LISTED.fullmatch(WRAPPERS.sub("", gold)) and items_of_words(gold) == items_of_words(answer):
        return True, "words: the same list"
    if ours.isalpha() and len(ours) > 1 and len(theirs) > len(ours) and says(gold, answer):
        return True, "words: a sentence that says them"
    if is_words(gold, ours) and is_words(answer, theirs):
        return items_of_words(gold) == items_of_words(answer), "words: compared without articles and order of a list"
    return None


def items_of_words(text: str) -> list[str]:
    """The items of a list in words, sorted, without articles and in singular; one item where it is no list."""
    words = WRAPPERS.sub("", text).translate(NO_BRACES).replace("~", " ").strip(" .").lower()
    items = SEPARATOR.split(ARTICLE.sub("", words))
    return sorted(PLURAL.sub("", " ".join(item.split())) for item in items if item.strip())


def same_time(gold: str, answer: str) -> bool | None:
    """Whether two times of day are the same minute; None unless one says a.m. or p.m."""
    one, other = (minute_of_day(text) for text in (gold, answer))
    if one is None or other is None or not (one[1] or other[1]):
        return None
    return one[0] == other[0] if one[1] and other[1] else one[0] % 720 == other[0] % 720


def minute_of_day(text: str) -> tuple[float, bool] | None:
    """Minutes since midnight, and whether the text says which half of the day it is."""
    if (match := TIME.fullmatch(text)) is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    half = (match[4] or "").lower()
    hour = hour % 12 + 12 * (half == "p") if half else hour
    return hour * 60 + minute + second / 60, bool(half)


def compare_choice(gold: str, letter: str, answer: str, theirs: str) -> tuple[bool, str] | None:
    is_choice = letter.isupper() or "\\text" in gold or "(" in gold
    if other := CHOICE.fullmatch(theirs):
        same = letter.upper() == other.group(1).upper() if is_choice else letter == other.group(1)
        return (same, "choice: letters compared") if is_choice or same else None
    if is_choice and (named := NAMED_CHOICE.fullmatch(theirs)):
        return named.group(1).upper() == letter.upper(), "choice: letters compared"
    if is_choice and (
        named := CHOICE_WITH_TEXT.fullmatch(WRAPPERS.sub("", answer).replace("{", "").replace("}", "").strip())
    ):
        if DENIED_CHOICE.search(answer):
            return False, "choice: denied"
        letters = set(CHOICE_IN_BRACKETS.findall(answer)) | {named.group(1) or named.group(2)}
        return letters == {letter.upper()}, "choice: letter before its text"
    return None


def is_words(text: str, plain_text: str) -> bool:
    """Whether a text can only be words: letters, four or more in a row, or marked as text and no formula."""
    if not WORD.fullmatch(plain_text):
        return False
    return len(plain_text) > 3 and plain_text[1:].islower()
