"""No text makes a grader raise, or an expression in a language of ours mean something else."""

import time

import pytest
from deepscaler.reward.grade import grade_pair
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PIECES = st.sampled_from(
    [
        *(
            "\\frac",
            "\\sqrt",
            "\\binom",
            "\\sum_{n=1}^{9}",
            "\\int",
            "\\log_",
            "\\sin^",
            "\\text{",
            "\\boxed{",
            "\\left",
        ),
        *("{", "}", "(", ")", "[", "]", "\\{", "\\}", "|", "^", "_", "!", "%", "°", "\\pi", "\\infty", "\\pm", "\\cup"),
        *(
            "\\begin{pmatrix}",
            "\\end{pmatrix}",
            "&",
            "\\\\",
            "=",
            "<",
            "\\le",
            "\\in",
            ",",
            ";",
            ":",
            ".",
            "..",
            "/",
            "*",
        ),
        *(
            "**",
            "+",
            "-",
            " ",
            "x",
            "y'",
            "e",
            "i",
            "d",
            "f(x)",
            "1e9",
            "0x1",
            "99999",
            "7",
            "\x00",
            "\ud800",
            "٣",
            "１",
        ),
        *(
            "__import__('os')",
            "lambda:",
            "().__class__",
            "and",
            "or",
            "\\",
            "$",
            "~",
            "\\overline{",
            "\\lfloor",
            "\\rceil",
        ),
    ]
)
TEXTS = st.lists(PIECES, max_size=25).map("".join)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(gold=TEXTS, answer=TEXTS)
def test_any_text_gets_a_verdict(gold: str, answer: str) -> None:
    for mode in ("paper", "strict"):
        started = time.process_time()
        verdict = grade_pair(gold, answer, mode)  # type: ignore[arg-type]
        assert not verdict.reason.startswith("error"), verdict.reason
        assert time.process_time() - started < 5


INTEGERS = st.integers(-50, 50)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(a=INTEGERS, b=st.integers(1, 50), c=INTEGERS, d=st.integers(1, 50))
def test_rational_arithmetic_is_exact(a: int, b: int, c: int, d: int) -> None:
    total = rf"\frac{{{a}}}{{{b}}}+\frac{{{c}}}{{{d}}}"
    assert grade_pair(f"{a * d + c * b}/{b * d}", total, "strict").correct
    assert not grade_pair(f"{a * d + c * b + 1}/{b * d}", total, "strict").correct


@settings(max_examples=100, deadline=None, derandomize=True)
@given(a=INTEGERS, b=INTEGERS)
def test_polynomial_identities(a: int, b: int) -> None:
    product = f"(x+({a}))(x+({b}))"
    assert grade_pair(f"x^2+({a + b})x+({a * b})", product, "strict").correct
    assert not grade_pair(f"x^2+({a + b})x+({a * b + 1})", product, "strict").correct


@pytest.mark.parametrize(
    "piece", [r"\text{", r"\frac{d^2", r"\frac", r"\sqrt", "min", r"{1\over", "(", r"\{x|", "|", "-", "x^", r"\pm", "{"]
)
def test_nesting_is_refused_before_it_recurses(piece: str) -> None:
    for mode in ("paper", "strict"):
        for answer in (piece * 900, "2 " + piece * 300 + "1"):
            verdict = grade_pair("1/2", answer[:3900], mode)  # type: ignore[arg-type]
            assert not verdict.correct
            assert not verdict.reason.startswith("error"), verdict.reason
