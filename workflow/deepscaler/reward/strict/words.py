"""Answers that are words or a choice's letter."""

import re

_WRAPPERS = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mbox|mathrm|mathbf|mathit|mathsf|operatorname|emph|bf|rm)(?![A-Za-z])"
)
_WRAPPED = re.compile(_WRAPPERS.pattern + r"\s*\{([^{}]*)\}")
_IDLE_SPACE = re.compile(r"(?<![0-9]) +| +(?![0-9 ])")
_BRACKETS = re.compile(r"[{}$\s]")
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
_LETTERS = re.compile(r"[^\W\d_]+(?:[-,'’&.][^\W\d_]+)*")
_CHOICE = re.compile(r"\(?([A-Ja-j])\)?")
_CHOICE_WITH_TEXT = re.compile(r"(?:\(([A-J])\)|([A-J])[.):])\s*\S.*", re.S)


def plain(text: str) -> str:
    """The text without wrappers, braces, dollars, spaces and a final full stop; case kept."""
    return _BRACKETS.sub("", _WRAPPERS.sub("", text).replace("~", "")).rstrip(".").strip("\"'`")


def squeezed(text: str) -> str:
    """The text without the spaces that mean nothing; one between digits does, as in `1 1/2`."""
    return _IDLE_SPACE.sub("", text)


def unwrapped(text: str) -> str:
    """The text without text commands and idle spaces; other braces, which carry meaning, stay."""
    return squeezed(_WRAPPED.sub(r"\1", text))


_NUMERALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_NUMBERS = {word: str(value) for value, word in enumerate(_NUMERALS.split())}


def as_digits(text: str) -> str:
    """A number in words, up to twenty, in digits; other text as it is."""
    return _NUMBERS.get(plain(text).lower(), text) if text[-1:].isalpha() or text.endswith("}") else text


def compare(gold: str, answer: str) -> tuple[bool, str] | None:
    """A verdict with its reason where the gold is a choice or words; None where it is neither."""
    ours, theirs = plain(gold), plain(answer)
    if choice := _CHOICE.fullmatch(ours):
        return _compare_choice(gold, choice.group(1), answer, theirs)
    if len(ours) > 1 and ours.lower() == theirs.lower() and _LETTERS.fullmatch(ours):
        return True, "words: equal"
    if _is_words(gold, ours) and _is_words(answer, theirs):
        return False, "words: differ"
    return None


def _compare_choice(gold: str, letter: str, answer: str, theirs: str) -> tuple[bool, str] | None:
    is_choice = letter.isupper() or "\\text" in gold or "(" in gold
    if other := _CHOICE.fullmatch(theirs):
        same = letter.upper() == other.group(1).upper() if is_choice else letter == other.group(1)
        return (same, "choice: letters compared") if is_choice or same else None
    if is_choice and (
        named := _CHOICE_WITH_TEXT.fullmatch(_WRAPPERS.sub("", answer).replace("{", "").replace("}", "").strip())
    ):
        letters = set(re.findall(r"\(([A-J])\)", answer)) | {named.group(1) or named.group(2)}
        return letters == {letter.upper()}, "choice: letter before its text"
    return None


def _is_words(text: str, plain_text: str) -> bool:
    """Whether a text can only be words: letters, four or more in a row, or marked as text and no formula."""
    if not _WORD.fullmatch(plain_text):
        return False
    return len(plain_text) > 3 and plain_text[1:].islower()
