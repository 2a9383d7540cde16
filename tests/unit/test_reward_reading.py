"""Words about an answer: what may stand beside any gold, and what makes another answer of it."""

import json
import re
from pathlib import Path

import pytest
from deepscaler.reward.grade import grade_pair
from deepscaler.reward.response import grade_response
from deepscaler.reward.strict.text import phrases
from deepscaler.reward.strict.text.sentences import says
from deepscaler.reward.strict.text.spoken_numbers import as_digits

GOLDS = (
    *("7", "-4", "2.5", r"\frac{3}{8}", r"2\sqrt{5}", r"\pi", "x^2+1", "n(n+1)", "y=2x+1", "f(x)=3x", "(2,5)", "[0,4)"),
    *(r"\{1,4\}", "3,8", r"\begin{pmatrix} 1 \\ -2 \end{pmatrix}", "x<5", r"(-\infty,1)\cup(2,\infty)", "243_7", "3:5"),
    *(r"90^\circ", r"12 \text{ cm}", r"\$30", r"\text{hyperbola}", r"\text{(D)}"),
)
CELL, CODE = re.compile(r"(?<!\\)\|"), re.compile(r"`([^`]*)`")
HARMLESS = (
    *(
        r"\text{The answer is } @",
        r"@ \text{ (final answer)}",
        "@.",
        r"\text{Thus, } @",
        r"\Rightarrow @",
        r"@\text{.}",
    ),
    *(r"\text{Answer: } @", r"@ \quad \checkmark", '"@"', r"\therefore @", r"@ \text{ exactly}", r"@ \tag{7}", "**@**"),
)
CHANGING = (
    *(r"\text{at most } @", r"\text{not } @", r"\text{twice } @", r"\text{more than } @", r"\text{anything but } @"),
    *(r"@ \text{ or } 9876", "@, 9876", r"@ \text{ does not work}", r"@ \text{ is wrong}", r"\text{negative } @"),
)
QUALIFYING = (
    r"@ \text{ if } \beta > 5",
    r"@ \text{ only when } j \text{ is odd}",
    r"@ \text{ dozen}",
    r"@ \text{ squared}",
)


@pytest.mark.parametrize("words", HARMLESS)
def test_words_that_say_nothing(words: str) -> None:
    refused = [gold for gold in GOLDS if not grade_pair(gold, words.replace("@", gold), "strict").correct]
    excused = {r"\text{(D)}"} if "Thus" in words else set()  # a choice stands alone, or before its text
    assert set(refused) <= excused


@pytest.mark.parametrize("words", CHANGING)
def test_words_that_make_another_answer(words: str) -> None:
    assert [gold for gold in GOLDS if grade_pair(gold, words.replace("@", gold), "strict").correct] == []


@pytest.mark.parametrize("words", QUALIFYING)
def test_words_that_narrow_an_answer(words: str) -> None:
    """Behind a choice's letter stands its text, whatever it says."""
    golds = [gold for gold in GOLDS if gold != r"\text{(D)}"]
    assert [gold for gold in golds if grade_pair(gold, words.replace("@", gold), "strict").correct] == []


@pytest.mark.parametrize(
    ("phrase", "role"),
    [
        ("ways", "unit"),
        ("distinct ordered triples", "unit"),
        ("kg m/s", "unit"),
        ("in total", "idle"),
        ("(simplified)", "idle"),
        ("dozen", "changes"),
        ("or more", "changes"),
        ("units squared", "unit"),
        ("and a flurb", "unknown"),
        ("squared", "changes"),
        ("flurb", "unknown"),
    ],
)
def test_what_words_behind_a_number_say(phrase: str, role: str) -> None:
    assert phrases.behind(phrase) == role


@pytest.mark.parametrize(
    ("words", "digits"),
    [
        ("twenty-one", "21"),
        ("two thirds", r"\frac{2}{3}"),
        ("a quarter", r"\frac{1}{4}"),
        ("three and a half", r"3\frac{1}{2}"),
        ("half", r"\frac{1}{2}"),
        ("third", "third"),
        ("twenty-fifth", "twenty-fifth"),
        ("two third", "two third"),
        ("one two", "one two"),
    ],
)
def test_numbers_in_words(words: str, digits: str) -> None:
    assert as_digits(words) == digits


def test_sentences() -> None:
    assert says(r"\text{hyperbola}", r"\text{The locus is a hyperbola}")
    assert says("yes", "Yes, it does")
    assert says("no", "No, it does not")
    assert not says("yes", "Yes and no")
    assert not says("Ann", "Bob is taller than Ann")
    assert not says("Ann", "Ann or Bob wins")


def test_the_reported_cases(shared: Path) -> None:
    """Public reports, answers as a small model writes them, whole responses, and probes."""
    lines = (shared / "grading" / "cases_turn2.jsonl").read_text(encoding="utf-8").splitlines()
    right, false_positives, cases = 0, 0, [json.loads(line) for line in lines]
    for case in cases:
        if "response" in case:
            correct = grade_response(case["gold"], case["response"], "strict", case["think"]).correct
        else:
            correct = grade_pair(case["gold"], case["prediction"], "strict").correct
        right += correct == case["expected"]
        false_positives += correct and not case["expected"]
    assert right / len(cases) >= 0.98
    assert false_positives <= 2


def documented(root: Path) -> list[tuple[str, str, bool]]:
    """The examples in the tables of conventions: gold, answer, whether it is right."""
    found = []
    for line in (root / "docs" / "reward.md").read_text(encoding="utf-8").splitlines():
        cells = CELL.split(line.strip().strip("|"))
        if line.startswith("|") and len(cells) == 4 and (golds := CODE.findall(cells[1])):
            for column, right in ((2, True), (3, False)):
                found += [(golds[0], answer, right) for answer in CODE.findall(cells[column])]
    return [(gold.replace("\\|", "|"), answer.replace("\\|", "|"), right) for gold, answer, right in found]


def test_the_documented_conventions_hold(root: Path) -> None:
    examples = documented(root)
    assert len(examples) > 70
    assert [each for each in examples if grade_pair(each[0], each[1], "strict").correct != each[2]] == []
