"""From a response to its answer: think tags and boxes."""

import pytest
from deepscaler.reward.gradable import gradable
from deepscaler.reward.response import boxed_answer, grade_response

WELL_FORMED = "<think>two and two</think>\nSo \\boxed{4}."


@pytest.mark.parametrize(
    ("response", "think", "correct", "well_formed"),
    [
        (WELL_FORMED, "required", True, True),
        (WELL_FORMED, "prefilled", True, True),
        (WELL_FORMED, "none", True, True),
        ("two and two</think>\\boxed{4}", "required", False, False),
        ("two and two</think>\\boxed{4}", "prefilled", True, True),
        ("\\boxed{4}", "prefilled", False, False),
        ("\\boxed{4}", "none", True, True),
        ("<think>\\boxed{4}", "required", False, False),
        ("<think>\\boxed{4}</think> no box", "required", False, False),
        ("<think>\\boxed{5}</think>\\boxed{3} and \\boxed{4}", "required", True, True),
        ("a</think>\\boxed{4}</think>\\boxed{5}", "prefilled", True, True),
        ("", "none", False, False),
    ],
)
def test_think_rule(response: str, think: str, correct: bool, well_formed: bool) -> None:
    verdict = grade_response("4", response, "paper", think)  # type: ignore[arg-type]
    assert (verdict.correct, verdict.well_formed) == (correct, well_formed), verdict.reason


@pytest.mark.parametrize(
    ("text", "paper", "strict"),
    [
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{{2}}", "{2}", "{2}"),
        (r"\boxed 5", None, "5"),
        (r"\boxed {5}", None, "5"),
        (r"\fbox{5}", None, "5"),
        (r"\boxed{1} \boxed{2", None, None),
        (r"\boxed{1} \boxed", None, "1"),
        (r"\boxed{1} \boxed 2", None, "1"),
        ("no box", None, None),
        (r"\boxed{}", "", ""),
    ],
)
def test_last_box(text: str, paper: str | None, strict: str | None) -> None:
    assert boxed_answer(text, "paper") == paper
    assert boxed_answer(text, "strict") == strict


@pytest.mark.parametrize(
    ("response", "paper", "strict"),
    [
        ("<think>a</think> wait <think>b</think> \\boxed{4}", False, True),
        ("<think>a</think> \\boxed{4} <think>b</think>", True, True),
        ("<think>a</think> \\boxed{4} <think>\\boxed{5}</think>", False, True),
        ("<think>a</think> \\boxed{3} </think> \\boxed{4}", False, False),
        ("<think>a</think> <think> \\boxed{4}", True, True),
    ],
)
def test_thinking_more_than_once(response: str, paper: bool, strict: bool) -> None:
    """`paper` reads what stands before the second closing tag, as upstream; `strict` leaves whole blocks out."""
    assert grade_response("4", response, "paper", "required").correct == paper
    assert grade_response("4", response, "strict", "required").correct == strict


def test_any_accepted_gold_counts() -> None:
    verdict = grade_response(["3", r"\frac{8}{2}", "4.0"], WELL_FORMED, "paper", "required")
    assert verdict.correct
    assert verdict.answer == "4"


@pytest.mark.parametrize(
    ("answer", "mode", "expected"),
    [
        ("7", "paper", True),
        (r"\frac{3}{11}", "paper", True),
        ("(4,2)", "paper", True),
        ("a+b+c", "paper", False),
        ("x^{12}", "paper", False),
        ("a+b+c", "strict", True),
        ("", "paper", False),
        ("9" * 5000, "strict", False),
        (r"\begin{tikzpicture}", "strict", False),
        (r"\text{even}", "strict", True),
    ],
)
def test_gradable(answer: str, mode: str, expected: bool) -> None:
    verdict, reason = gradable(answer, mode)  # type: ignore[arg-type]
    assert verdict is expected, reason
