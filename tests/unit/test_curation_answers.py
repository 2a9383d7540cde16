"""Answers in text: boxes, choices, and what is no answer."""

import csv
from pathlib import Path

import pytest
from deepscaler import records
from deepscaler.curation.answers import Choices, choice_letter, marked_value, split_choices, tidy
from deepscaler.curation.boxes import boxes
from deepscaler.curation.extract_answers import (
    DIFFERING,
    LISTED,
    NEEDS_CHOICES,
    extract_answers,
    read_answer,
    without_signatures,
)
from deepscaler.curation.normalise import canonical, numerals, words
from deepscaler.reward.pool import GradingPool
from hypothesis import given
from hypothesis import strategies as st
from own_settings import CURATION

STYLES = [
    r"$\textbf{(A)}\ 3 \qquad \textbf{(B)}\ 5 \qquad \textbf{(C)}\ 7 \qquad \textbf{(D)}\ 9 \qquad \textbf{(E)}\ 11$",
    r"$\textbf{(A) }3\qquad\textbf{(B) }5\qquad\textbf{(C) }7\qquad\textbf{(D) }9\qquad\textbf{(E) }11$",
    r"$\mathrm{(A)}\ 3 \qquad\mathrm{(B)}\ 5 \qquad\mathrm{(C)}\ 7 \qquad\mathrm{(D)}\ 9 \qquad\mathrm{(E)}\ 11$",
    r"$(\mathrm{A})\ 3 \quad (\mathrm{B})\ 5 \quad (\mathrm{C})\ 7 \quad (\mathrm{D})\ 9 \quad (\mathrm{E})\ 11$",
    r"\[\text{(A)}~3\qquad\text{(B)}~5\qquad\text{(C)}~7\qquad\text{(D)}~9\qquad\text{(E)}~11\]",
    r"(A) 3, (B) 5, (C) 7, (D) 9, (E) 11",
    "A) 3\nB) 5\nC) 7\nD) 9\nE) 11",
    "A. 3\nB. 5\nC. 7\nD. 9\nE. 11",
    r"$\mathrm{\textbf{(A)} \ }3\qquad \mathrm{\textbf{(B)} \ } 5\qquad \mathrm{\textbf{(C)} \ } 7\qquad"
    r" \mathrm{\textbf{(D)} \ }9\qquad \mathrm{\textbf{(E)} \ } 11$",
    r"$\textbf{(A)}$ $3$ $\textbf{(B)}$ $5$ $\textbf{(C)}$ $7$ $\textbf{(D)}$ $9$ $\textbf{(E)}$ $11$",
]

EXTRACTION = CURATION.extract_answers
POOL = GradingPool()
"""Forks a worker where two boxes differ as texts; ended with the tests' process."""


def choices_of(text: str) -> Choices | None:
    return split_choices(text, fewest=EXTRACTION.min_choices, longest=EXTRACTION.max_choice_characters)


@pytest.mark.parametrize("style", STYLES)
def test_choices_of_every_style(style: str) -> None:
    choices = choices_of(f"What is the value of $x$?\n{style}")
    assert choices is not None
    assert choices.stem == "What is the value of $x$?"
    assert choices.values == {"A": "3", "B": "5", "C": "7", "D": "9", "E": "11"}


def test_choices_keep_their_mathematics() -> None:
    listed = (
        r"$\textbf{(A)}\ \frac{1}{2} \qquad \textbf{(B)}\ \{1, 2\} \qquad \textbf{(C)}\ .5 \qquad \textbf{(D)}\ -x^{2}$"
    )
    choices = choices_of(f"Pick. {listed}")
    assert choices is not None
    assert list(choices.values.values()) == [r"\frac{1}{2}", r"\{1, 2\}", ".5", "-x^{2}"]


@pytest.mark.parametrize(
    "problem",
    [
        "Points (A), (B) and (C) lie on a line.",
        "Given $f(A) = 1$, $f(B) = 2$ and $f(C) = 3$, find $f(D)$.",
        "Find $x$. [asy] draw(A--B--C); dot(A); dot(B); dot(C); label(C); [/asy]",
        "How many numbers satisfy (A) the first digit is odd, (B) the last is even, and (C) the sum is 9?",
        "Which are true? A. $a$ is even.\nB. $b$ is.\nC. $c$ is.\nList your choices separated by commas.",
        "Find $f(A) + f(B)$.",
        "Triangle ABC has vertices (B) and (A) and (C).",
        r"Which figure? \textbf{(A)} \textbf{(B)} \textbf{(C)}",
        "",
    ],
)
def test_what_are_no_choices(problem: str) -> None:
    assert choices_of(problem) is None


def test_dollars_within_a_choice_stay() -> None:
    choices = choices_of("Pick one.\nA. the zeros of $P$\nB. the $x$-axis\nC. $3$")
    assert choices is not None
    assert list(choices.values.values()) == ["the zeros of $P$", "the $x$-axis", "3"]


def test_a_request_for_the_letter_goes_with_the_choices() -> None:
    choices = choices_of(
        "What curve is it?\n\n(A) Line\n(B) Circle\n(C) Cone\n\nEnter the letter of the correct option."
    )
    assert choices is not None
    assert (choices.stem, choices.values) == ("What curve is it?", {"A": "Line", "B": "Circle", "C": "Cone"})


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        *[("B", "B"), ("(B)", "B"), (r"\textbf{(B)}", "B"), (r"\text{B}", "B"), (r"\mathrm{(E)}", "E"), ("BC", None)],
        *[("X", None), ("(B) 5", None), ("2B", None), ("b", None), ("", None)],
    ],
)
def test_lone_letters(answer: str, letter: str | None) -> None:
    assert choice_letter(answer) == letter


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (r"\textbf{(B)}\ 5", "5"),
        (r"\textbf{(C) } \frac{1}{2}", r"\frac{1}{2}"),
        (r"(D)~12\text{ cm}", r"12\text{ cm}"),
        (r"\mathrm{(A)}\,-3", "-3"),
        (r"\textbf{(B)}", None),
        ("(A, B)", None),
        ("B + 1", None),
        ("(2, 3)", None),
    ],
)
def test_a_value_behind_its_mark(answer: str, value: str | None) -> None:
    assert marked_value(answer) == value


@pytest.mark.parametrize(
    ("answer", "tidied"),
    [
        *[("017", "17"), ("000", "0"), ("0", "0"), ("0.50", "0.50"), ("$5$", "5"), ("5.", "5"), (r"\boxed{7}", "7")],
        *[("$1$ and $2$", "$1$ and $2$"), (" x ", "x"), ("1, 2, ...", "1, 2, ..."), (r"0\frac12", r"0\frac12")],
    ],
)
def test_tidy(answer: str, tidied: str) -> None:
    assert tidy(answer) == tidied


def row(problem: str, answer: str | None = None, solution: str | None = None) -> dict[str, str | None]:
    return {"problem": problem, "answer_raw": answer, "solution": solution, "metadata": "{}"}


ASKED = "What is $1+1$? " + STYLES[0]


@pytest.mark.parametrize(
    ("given", "answer", "origin", "second"),
    [
        (row("Q", "017", r"\boxed{17}"), "17", "given", "17"),
        (row("Q", None, r"first \boxed{4}, so $x = \boxed{4.0}$"), "4.0", "boxed", None),
        (row(ASKED, None, r"$\boxed{\textbf{(B)}\ 5}$"), "5", "choice", None),
        (row(ASKED, None, r"so \boxed{B}."), "5", "choice", None),
        (row(ASKED, "D", None), "9", "choice", None),
        (row(ASKED, "5", r"\boxed{B}"), "5", "given", "5"),
        (row("Q", "B", None), "B", "given", None),  # without choices a letter may be the answer itself
    ],
)
def test_answers_of_a_row(given: dict[str, str], answer: str, origin: str, second: str | None) -> None:
    reading = read_answer(given, EXTRACTION, POOL)
    assert (reading.answer, reading.origin, reading.second) == (answer, origin, second)
    assert "textbf" not in reading.problem


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (row("Q", None, "no box here"), "no answer"),
        (row("Q", None, r"\boxed{B}"), "no answer: a choice letter without its choices"),
        (row("Which of the following is prime? " + STYLES[0], "B"), "makes no sense without its choices"),
        (row("Q", "word " * 500), "no answer: a whole solution in its place"),
    ],
)
def test_rows_without_an_answer(given: dict[str, str], reason: str) -> None:
    reading = read_answer(given, EXTRACTION, POOL)
    assert (reading.answer, reading.reason) == (None, reason)


def test_needs_choices() -> None:
    assert NEEDS_CHOICES.search("Which one of the following is true?")
    assert NEEDS_CHOICES.search("Which of the cones below can be formed from the sector?")
    assert not NEEDS_CHOICES.search("Find which number follows.")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Find $x^2$.", "find x^2"),
        (r"Let $\left( a, b \right)$", "let (a,b)"),
        (r"\dfrac{1}{2}\,\text{cm}", r"\frac12 cm".replace("12", "{1}{2}")),
        ("  Spaces   and\nlines ", "spaces and lines"),
        ("Ａ fullwidth 1", "a fullwidth 1"),
        (r"\textbf{Bold} move", "bold move"),
        (r"a multiple of $75_{}^{}$", "a multiple of $75$"),
        (r"Solve \[x^2 = 2.\]", "Solve $x^2 = 2.$"),
        (r"Solve \(x = [1, 2]\)", "Solve $x = [1, 2]$"),
        (r"\begin{cases} a \\ [b] \end{cases}", r"\begin{cases} a \ [b] \end{cases}"),
    ],
)
def test_typesetting_does_not_change_the_key(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x + 1", "x - 1"),
        ("x < 1", "x > 1"),
        ("n!", "n"),
        ("Find 12", "Find 1 2"),
        ("1.5", "15"),
        ("f(x)", "f[x]"),
        (r"\sin x", r"\cos x"),
        ("a_1", "a^1"),
        ("3:2", "32"),
    ],
)
def test_meaning_changes_the_key(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@given(st.text(max_size=200))
def test_keys_of_any_text(text: str) -> None:
    assert canonical(canonical(text)) == canonical(canonical(canonical(text)))
    assert all(word and " " not in word for word in words(text))
    assert isinstance(numerals(text), tuple)


@given(st.text(alphabet=r"AB(C)DE\textbf{}$ 12\n.", max_size=200))
def test_choices_of_any_text(text: str) -> None:
    choices = choices_of(text)
    if choices:
        assert len(choices.values) >= 3
        assert len(choices.stem) < len(text)


@pytest.mark.parametrize(
    ("given", "answer", "doubt"),
    [
        (row("Q", None, r"$x = \boxed{5}$ or $\boxed{-3}$."), "5, -3", LISTED),
        (row("Q", None, r"First \boxed{3}. Later, after much work, \boxed{4}."), "3, 4", DIFFERING),
        (row("Q", "-3", r"$x = \boxed{5}$ or $\boxed{-3}$."), "5, -3", LISTED),  # the source holds the last alone
        (row("Q", "4", r"First \boxed{3}. Later, after much work, \boxed{4}."), "4", DIFFERING),
        (row("Q", None, r"\boxed{5 \text{ or } -3}"), r"5 \text{ or } -3", LISTED),
        (row("Q", None, r"\boxed{\frac12} = \boxed{0.5}"), "0.5", None),
        (row("Q", "7", r"\boxed{\boxed{7}}"), "7", None),
        (row("List all possible values, separated by commas.", "3"), "3", "one answer where several are asked for"),
        (row("List all possible values, separated by commas.", "3, 4"), "3, 4", None),
        (row("Find the vаlue.", "3"), "3", r"mixed scripts: 'v\u0430lue'"),
    ],
)
def test_answers_in_doubt_are_kept_whole_and_reviewed(
    given: dict[str, str], answer: str, doubt: str | None, tmp_path: Path
) -> None:
    filled = {"id": "a/1", "source": "a", "answer": None, "answer_origin": None, **given}
    records.write(tmp_path / "in.parquet", [filled], records.PROBLEM)
    extract_answers(
        problems=tmp_path / "in.parquet",
        output=tmp_path / "out.parquet",
        removed=tmp_path / "removed.parquet",
        review=tmp_path / "review.csv",
        settings=EXTRACTION,
        cache=tmp_path / "replies.jsonl",
    )
    (kept,) = records.read(tmp_path / "out.parquet", records.PROBLEM).to_pylist()
    with (tmp_path / "review.csv").open(encoding="utf-8") as handle:
        reviewed = [line["kind"] for line in csv.DictReader(handle)]
    assert kept["answer"] == answer
    assert reviewed == ([doubt] if doubt else [])


@pytest.mark.parametrize(
    ("problem", "kept"),
    [
        ("Find $p$.\n ~ pi_is_3.14\n ~ momeme", "Find $p$."),
        ("Find it. [asy] x [/asy] ~MRENTHUSIASM ~ihatemath123", "Find it. [asy] x [/asy]"),
        (r"Find $a ~ b$ in $z ~ \mbox{and} ~ w$.", r"Find $a ~ b$ in $z ~ \mbox{and} ~ w$."),
        ("Is $x ~ y$?", "Is $x ~ y$?"),
    ],
)
def test_signatures_of_a_wiki_leave_the_problem(problem: str, kept: str) -> None:
    assert without_signatures(problem) == kept


def test_boxes_in_one_pass() -> None:
    assert [box.content for box in boxes(r"\boxed{1} } { \boxed{ {2} } \boxed{3")] == ["1", " {2} "]
    assert [box.content for box in boxes(r"\boxed 5, \boxed{}")] == [""]
    assert [box.content for box in boxes(r"so \boxed 5.")] == ["5"]
    assert [box.content for box in boxes(r"\boxed{\left\{1,2\right.} or \boxed{3}")] == [r"\left\{1,2\right.", "3"]
    assert [box.content for box in boxes(r"\\{ \boxed{4}")] == ["4"], "two backslashes are a line break"
    assert [box.content for box in boxes("\\boxed{" * 100 + "7" + "}" * 100)] == ["7"]
