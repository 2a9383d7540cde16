"""The fuzzer of `fuzz_responses.py`, for some seconds; an hour of it is run by hand."""

import random

import pytest
from fuzz_responses import GOLDS, Findings, fault, plain_search, response_from


def test_no_response_gets_the_better_of_the_grader() -> None:
    draw, findings = random.Random(7), Findings()
    for _ in range(150):
        findings.look(*response_from(draw, GOLDS))
    assert not findings.counts, findings.report()


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("2", "</think>\\boxed{" + "(" * 3000 + "}"),
        ("2", "</think>\\boxed{\\begin{cases} & \\end{cases}}"),
        ("2", "</think>\\boxed{\\text{if } x}"),
        ("2", "</think>\\boxed{\\{x \\in \\mathbb{Z} : 1 < x < 10^{9}\\}}"),
        ("2", "</think>\\boxed{: 3}"),
        ("2", "</think>\\boxed{^T}"),
        ("2", "</think>\\boxed{;}"),
        ("2", "</think>\\boxed{2" + "\\%" * 1000 + "}"),
        ("2", "</think>\\boxed{" + "\\pm " * 700 + "2}"),
    ],
)
def test_no_fault(gold: str, response: str) -> None:
    assert fault(gold, response) is None


def test_the_plain_search_agrees_on_what_it_is_for() -> None:
    assert plain_search(r"\boxed{1} \boxed{\{2} \boxed 3") == r"\{2"
    assert plain_search(r"\boxed{1} \boxed{\{2} \boxed{3") is None
    assert plain_search(r"\fbox {a\}}") == r"a\}"
    assert plain_search(r"\boxed 5") is None
