"""Every regular expression of the package, fed with what makes it try again: time must not grow beyond the length's.

The expressions are found by walking the modules, so that a new one is tried without being named here.
"""

import re
from pathlib import Path

import deepscaler
import pytest
import regex_growth

OWN_TEXT = {"training/command.py", "curation/llm/same_problem.py"}
"""Files that give an expression to `re` where it is used: on text of this repository."""


@pytest.mark.timeout(600)
def test_no_expression_is_more_than_linear() -> None:
    found = regex_growth.patterns_of(deepscaler)
    assert len(found) > 90, "the modules were not found"
    slow = {name: regex_growth.slowest(pattern, used) for name, (pattern, used) in sorted(found.items())}
    assert {name: text for name, text in slow.items() if text} == {}


@pytest.mark.parametrize(
    ("expression", "method"),
    [
        (r"(?:\\q?quad|\\\\|\\\[|\\|\s)+$", "sub"),  # exponential
        (r"(\*\*|__|`+|\"|'')(?!\s)(.+?)\1", "fullmatch"),  # cubic
        (r"\\\\+(?=[A-Za-z]{2})", "sub"),  # quadratic, from each place on
        (r"(?:\s*</s>)+\s*$", "search"),
        (r"(?:^|\s)\(?(?:a|i|1)\)\s.+?(?:^|\s)\(?(?:b|ii|2)\)\s", "search"),
        (r"([0-9A-Fa-f]*[0-9][0-9A-Fa-f]*|[A-F]{2,})_(1[1-6])", "fullmatch"),
    ],
)
def test_slow_expressions_would_be_found(expression: str, method: str) -> None:
    assert regex_growth.slowest(re.compile(expression, re.DOTALL), {method})


def test_no_expression_hides_in_a_function(root: Path) -> None:
    """There neither the test above nor the interpreter's cache of compiled expressions would be sure to have it."""
    package = root / "workflow" / "deepscaler"
    hidden = {
        f"{name}:{line}"
        for path in sorted(package.rglob("*.py"))
        if (name := path.relative_to(package).as_posix()) not in OWN_TEXT
        for line in regex_growth.inline_calls(path)
    }
    assert hidden == set()
