"""Numbers in words: `twenty-one`, `three quarters`, `two and a half`."""

import re

from deepscaler.reward.strict.text.markup import NO_BRACES, WRAPPERS

DIGIT = re.compile(r"[0-9]")
UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBERS = {word: value for value, word in enumerate(UNITS.split())}
NUMBERS |= {word: 10 * value for value, word in enumerate(TENS.split(), start=2)}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6}


def as_digits(text: str) -> str:
    """A whole number in words, in digits; other text as it is."""
    if not (text[-1:].isalpha() or text.endswith("}")) or DIGIT.search(text):
        return text
    words = WRAPPERS.sub("", text).translate(NO_BRACES).lower().replace("-", " ").split()
    if words and len(words) <= 12 and (fraction := fraction_in_words(words)) is not None:
        return fraction
    if not words or len(words) > 12 or not all(word in NUMBERS or word in SCALES or word == "and" for word in words):
        return text
    total, group = 0, 0
    for word in words:
        if word == "hundred":
            group = (group or 1) * 100
        elif word in SCALES:
            total, group = total + (group or 1) * SCALES[word], 0
        elif word != "and":
            if group % 100 and not (group % 10 == 0 and group % 100 >= 20 and NUMBERS[word] < 10):
                return text  # "one two" is no number
            group += NUMBERS[word]
    return str(total + group) if words[0] != "and" and words[-1] != "and" else text


DENOMINATORS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8}
DENOMINATORS |= {"ninth": 9, "tenth": 10, "twelfth": 12, "hundredth": 100}
DENOMINATORS |= {word.replace("half", "halve") + "s": value for word, value in DENOMINATORS.items()}


def fraction_in_words(words: list[str]) -> str | None:
    """`three quarters`, `a third`, `two and a half` as LaTeX; ordinals (`third`, `twenty-fifth`) are none."""
    below = DENOMINATORS.get(words[-1])
    if below is None:
        return None
    *whole, above = " ".join(words[:-1]).rpartition("and")[::2] if "and" in words else ("", " ".join(words[:-1]))
    numerator = "1" if above.strip() in ("a", "an", "one") or words == ["half"] else as_digits(above.strip())
    mixed = as_digits(whole[0].strip()) if whole[0].strip() else ""
    if not numerator.isdigit() or (mixed and not mixed.isdigit()) or (numerator == "1") == words[-1].endswith("s"):
        return None
    return f"{mixed}\\frac{{{numerator}}}{{{below}}}"
