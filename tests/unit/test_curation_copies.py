"""What a copyist or an attacker changes does not hide a problem: characters, wording, and the form of answers."""

import re
import time
from collections.abc import Callable

import own_settings
import pytest
from deepscaler.curation import answers, boxes, characters, markup, normalise, same_answer, select_gradable, skeleton
from deepscaler.curation.characters import folded, foreign_script
from deepscaler.curation.normalise import canonical
from deepscaler.curation.skeleton import formulas
from deepscaler.curation.wording import earlier_wordings, shared_wordings

WALK = (
    "Every morning Aya goes for a $9$-kilometer-long walk and stops at a coffee shop afterwards. When she walks at a "
    r"constant speed of $s$ kilometers per hour, the walk takes her 4 hours, including $t$ minutes in the coffee shop."
)
DICE = "When three standard dice are tossed, the numbers $a,b,c$ are obtained. Find the probability that $abc = 180$."
CYRILLIC = str.maketrans("aeopcxyi", "аеорсхуі")


def in_font(text: str) -> str:
    return "".join(chr(0x1D5BA + ord(letter) - 97) if letter.islower() else letter for letter in text)


@pytest.mark.parametrize(
    "hidden",
    [
        WALK.translate(CYRILLIC),
        " ".join(word.replace("e", "е", 1).replace("a", "а", 1) for word in WALK.split(" ")),
        "".join(letter + "\u200b" * letter.isalpha() for letter in WALK),
        "".join(letter + "\u00ad" * letter.isalpha() for letter in WALK),
        in_font(WALK),
        WALK.replace("a", "ɑ").replace("o", "ο").replace("g", "ɡ"),
        "\u202e" + WALK,
    ],
    ids=["Cyrillic", "one letter a word", "zero width", "soft hyphens", "font", "Latin and Greek", "bidirectional"],
)
def test_no_spelling_hides_a_problem(hidden: str) -> None:
    assert canonical(hidden) == canonical(WALK)


@pytest.mark.parametrize(
    ("sign", "command"),
    [
        *[("x² ≤ 3·y", r"x^{2} \leq 3\cdot y"), ("∠ABC = 40°", r"\angle ABC = 40^\circ"), ("2π", r"2\pi")],
        *[("sinα", r"sin\alpha"), ("a₁₀", "a_{10}"), ("x ≠ y", r"x \neq y"), ("f′(2)", "f'(2)"), ("1…n", r"1\ldots n")],
    ],
)
def test_signs_of_unicode_are_latex(sign: str, command: str) -> None:
    assert canonical(sign) == canonical(command)


def test_a_stroke_makes_another_sign() -> None:
    assert canonical("x ∤ y") != canonical("x ∣ y")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Find the vаlue.", "mixed scripts"),  # a Cyrillic а
        ("Find the v\u200balue.", "unseen character: ZERO WIDTH SPACE"),
        ("Find the vαlue of sinα and 2πr for the naïve.", None),
        ("Find Αlice.", "mixed scripts"),  # a Greek capital alpha
        ("Find the value.", None),
    ],
)
def test_mixed_scripts_are_named(text: str, reason: str | None) -> None:
    found = foreign_script(text)
    assert found == reason if reason is None else (found or "").startswith(reason)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("$f'(2)$", "$f(2)$", False),
        ("$f''(2)$", "$f'(2)$", False),
        (r"$f^{\prime}(2)$", "$f'(2)$", True),
        ("Ann's `apple'", "Anns apple", False),
        ("the boys' ages", "the boys ages", True),
        ("$A'B'$", "$AB$", False),
    ],
)
def test_primes_are_no_punctuation(one: str, other: str, same: bool) -> None:
    assert (canonical(one) == canonical(other)) is same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (DICE, DICE.replace("a,b,c", "d,e,f").replace("abc", "def")),
        (r"It costs $\dfrac12$ of \$1,000.", "It costs $1/2$ of \\$1000."),
        (
            "There are three cats. Then Ben saw 0.50 of them. He left.",
            "There are 3 cats. Then Ann saw 0.5 of them. She left.",
        ),
        ("Find $x$. [asy] draw(A--B); [/asy]", "Find $y$."),
    ],
)
def test_skeletons_of_copies(one: str, other: str) -> None:
    assert skeleton.skeleton(one) == skeleton.skeleton(other)


def test_formulas_are_equal_up_to_a_renaming() -> None:
    graph = "Below is the graph of $y = a \\sin (bx + c) + d$. Find ${}$."
    assert formulas(graph.format("d")) == formulas(graph.replace("y", "u").replace("x", "v").format("d"))
    assert formulas(graph.format("d")) != formulas(graph.format("a")), "another one of its variables is asked for"


COPIES = {
    "renamed": DICE.replace("a,b,c", "d,e,f").replace("abc", "def"),
    "typos": DICE.replace("standard", "standrad").replace("probability", "probabiity"),
    "preamble": f"(Regional Olympiad 2017, Round 3) Read carefully.\n\nProblem: {DICE} Explain each step.",
    "late start": DICE.partition(", ")[2],
    "figure": DICE + " [asy] draw(unitcube); label(\"six\"); [/asy]",
    "homoglyphs": DICE.translate(CYRILLIC),
}  # fmt: skip


@pytest.mark.parametrize("kind", COPIES)
def test_wordings_of_copies(kind: str) -> None:
    others = [WALK, "How many positive divisors does 24 have?", "Find the area of a circle with radius 5 cm."]
    settings = own_settings.CURATION
    pairs = earlier_wordings([*others, DICE, COPIES[kind]], settings.deduplicate.wording_same_answer, settings.wording)
    assert list(zip(pairs.rows, pairs.columns, strict=True)) == [(4, 3)]
    pairs = shared_wordings([COPIES[kind]], [*others, DICE], settings.decontaminate.wording, settings.wording)
    assert list(zip(pairs.rows, pairs.columns, strict=True)) == [(0, 3)]


def test_no_texts_make_no_pairs() -> None:
    settings = own_settings.CURATION.wording
    assert len(earlier_wordings([], 0.5, settings).rows) == 0
    assert len(earlier_wordings(["", "x", ""], 0.5, settings).rows) == 0
    assert len(shared_wordings([], [DICE], 0.5, settings).rows) == 0


FRACTION = r"its area is $\frac{m}{n}$, where $m$ and $n$ are relatively prime positive integers. Find $m+n$."


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("Q", ["1/2"]), ("Q", [r"\frac{1}{2}"]), True),
        ((FRACTION, ["11"]), ("Find its area.", [r"\frac{3}{8}"]), True),
        ((FRACTION, ["12"]), ("Find its area.", [r"\frac{3}{8}"]), False),
        (("Find its sides.", ["11"]), ("Find its area.", [r"\frac{3}{8}"]), False),
        (("Find the remainder when $N$ is divided by 1000.", ["371"]), ("Find $N$.", ["5371"]), True),
        (("Find the remainder when it is divided by 4.", ["3"]), ("Find it.", ["7"]), False),
        (("Simplify.", ["2a + 1"]), ("Simplify.", ["2t+1"]), True),
        (("Which graph?", [r"\text{A}"]), ("Which graph?", [r"\text{E}"]), False),
    ],
)
def test_one_answer_in_two_forms(one: same_answer.Asked, other: same_answer.Asked, same: bool) -> None:
    grading = own_settings.CURATION.deduplicate.grading
    assert same_answer.same_answers([(one, other), (other, one)], grading) == [same, same]
    assert same_answer.same_answers([], grading) == []


@pytest.mark.parametrize(
    "text", ["<image>", "a <video> b", "<|im_end|>", "<｜begin▁of▁sentence｜>", "</think>", "[INST]"]
)
def test_markup_of_engines_is_found(text: str) -> None:
    assert markup.engine_markup(f"Find $x$. {text}") in text


@pytest.mark.parametrize("text", ["$0 < s > 3$", "$|x| < |y|$", "$\\langle s \\rangle$", "$a<b|c>d$", "<3"])
def test_mathematics_is_no_markup(text: str) -> None:
    assert markup.engine_markup(text) is None


REPEATED = (
    *("\\", " ", "\n", "$ ", "\\text ", "\\text{ ", "( ", "\\boxed{", "\\boxed ", "\\boxed{5} or ", "answer ", "-"),
    *("~", "list letter ", "a) find ", "(a) ", "[asy]", "\\frac{", "1,000", "Ab ", "x'", "^ {\\prime", "(A) "),
    *("find x + ", "remainder when 7 ", "<", "<|a", "а", "a\u200b", "x²", "\\quad", "\\hspace{", "[/", "{", "}", "1.0"),
    "\\textbf{(A",
)  # fmt: skip
READERS: dict[str, Callable[[str], object]] = {
    "trim": lambda text: answers.trim(f"x{text}x"),
    "split_choices": lambda text: answers.split_choices(text, fewest=3, longest=200),
    "marked_value": lambda text: answers.marked_value(f"(A) x{text}x"),
    "choice_letter": answers.choice_letter,
    "tidy": answers.tidy,
    "before_request": answers.before_request,
    "canonical": normalise.canonical,
    "words": normalise.words,
    "formulas": skeleton.formulas,
    "foreign_script": characters.foreign_script,
    "folded": folded,
    "boxes": lambda text: boxes.listed_together(text, boxes.boxes(text)),
    "holds_several": boxes.holds_several,
    "engine_markup": markup.engine_markup,
    "ungradable": lambda text: select_gradable.ungradable(text, f"{text} and", "paper"),
    "same_but_for_form": lambda text: same_answer.same_but_for_form((text, ["5"]), ("y", ["7"])),
    "asked": lambda text: (same_answer.SUM_ASKED.search(text), same_answer.REMAINDER_ASKED.search(text)),
}
LENGTH = 6_000
BOUND = 5.0
"""CPU seconds of one reading: linear ones take a tenth; what is quadratic or worse takes tens, or for ever."""


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.timeout(120)
def test_repeats_stall_no_reader(reader: str) -> None:
    for repeated in REPEATED:
        text = repeated * (LENGTH // len(repeated))
        start = time.process_time()
        READERS[reader](text)
        assert time.process_time() - start < BOUND, f"{reader} of {len(text)} characters of {repeated!r}"


def test_repeats_stall_no_pattern() -> None:
    """A new pattern in these modules is searched in the repeats by itself, too."""
    for module in (answers, boxes, characters, markup, normalise, same_answer, select_gradable, skeleton):
        for name, pattern in vars(module).items():
            if isinstance(pattern, re.Pattern):
                for repeated in REPEATED:
                    start = time.process_time()
                    pattern.search(repeated * (LENGTH // len(repeated)))
                    assert time.process_time() - start < BOUND, f"{name} on {repeated!r}"
