"""The guess at a misspelt name."""

import pytest
from deepscaler.errors import nearest, refuse_unknown, slips


@pytest.mark.parametrize(
    ("word", "other", "count"),
    [("", "abc", 3), ("abc", "abc", 0), ("ab", "ba", 1), ("aime-2042", "aime-2024", 1), ("aime-2042", "aime-2025", 2)],
)
def test_slips(word, other, count):
    assert slips(word, other) == slips(other, word) == count


@pytest.mark.parametrize("known", [["aime-2024", "aime-2025"], ["aime-2025", "aime-2024"]])
def test_exchanged_digits_are_nearer_than_a_wrong_one(known):
    assert nearest("aime-2042", known) == "aime-2024"
    assert nearest("aime-202", known) == "aime-2024"  # as near to both: the first in the alphabet


def test_nothing_alike_is_no_guess():
    assert nearest("olympiad", ["aime-2024", "mini"]) is None
    assert nearest("olympiad", []) is None
    assert str(refuse_unknown("scale", "x", ["b", "a"])) == "unknown scale 'x'. Hint: known: a, b"
