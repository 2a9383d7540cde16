"""Mode `strict`: mathematical equivalence."""

import json
import random
from fractions import Fraction
from pathlib import Path

import pytest
from deepscaler.reward.grade import grade_pair
from deepscaler.reward.strict.compare.exact import exact
from deepscaler.reward.strict.compare.values import Evaluator
from deepscaler.reward.strict.parse.answers import parse_answer
from deepscaler.reward.strict.text.clean import clean
from deepscaler.reward.strict.tree import Scalar

CASES = [
    tuple(line.split("\t"))
    for path in sorted(Path(__file__).parent.glob("strict_*.tsv"))
    for line in path.read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("expected", "gold", "prediction"), CASES)
def test_case(expected: str, gold: str, prediction: str) -> None:
    verdict = grade_pair(gold, prediction, "strict")
    assert verdict.correct == (expected == "right"), verdict.reason
    assert not verdict.reason.startswith("error")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"2\frac{3}{5}", Fraction(13, 5)),
        (r"-1\frac12", Fraction(-3, 2)),
        ("2 3/5", Fraction(13, 5)),
        (r"2\frac{7}{5}", Fraction(14, 5)),
        (r"\frac12\cdot4", Fraction(2)),
        ("1.5e3", Fraction(1500)),
        (r"0.1\overline{6}", Fraction(1, 6)),
        ("2^{3^2}", Fraction(512)),
        ("-2^2", Fraction(-4)),
        ("1/2/2", Fraction(1, 4)),
        ("2^-1", Fraction(1, 2)),
        (r"8^{2/3}", Fraction(4)),
        (r"\binom{5}{2}!", Fraction(3628800)),
        ("12,345", Fraction(12345)),
    ],
)
def test_exact_values(text: str, value: Fraction) -> None:
    tree = parse_answer(clean(text))
    assert isinstance(tree, Scalar)
    assert exact(tree.node) == value


def test_error_bounds_hold() -> None:
    """The bound that comes with a float value covers its distance from the exact one."""
    draw = random.Random(0)
    for _ in range(200):
        a, b, c = (draw.randint(1, 10**9) for _ in range(3))
        tree = parse_answer(rf"\frac{{{a}}}{{{b}}}-\frac{{{a + 1}}}{{{b + c % 7 + 1}}}")
        assert isinstance(tree, Scalar)
        rational = exact(tree.node)
        assert rational is not None
        value, bound = Evaluator({}).value(tree.node)
        assert abs(Fraction(value.real) - rational) <= Fraction(bound)


def test_accuracy_on_public_cases(shared: Path) -> None:
    """At least 97.5 % of the scored cases, with at most 4 false positives."""
    lines = (shared / "grading" / "cases_public.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [case for case in map(json.loads, lines) if case["kind"] == "equiv" and case["audit"] == "ok"]
    verdicts = [grade_pair(case["gold"], case["pred"], "strict").correct for case in cases]
    right = sum(verdict == case["expected"] for verdict, case in zip(verdicts, cases, strict=True))
    false_positives = sum(verdict and not case["expected"] for verdict, case in zip(verdicts, cases, strict=True))
    assert right / len(cases) >= 0.975
    assert false_positives <= 4


def test_golds_accept_themselves_and_reject_others(shared: Path) -> None:
    rows = [
        row for path in sorted((shared / "data" / "benchmarks").glob("*.json")) for row in json.loads(path.read_text())
    ]
    golds = [row["answer"] if isinstance(row["answer"], list) else str(row["answer"]) for row in rows]
    assert len(golds) > 1000
    first = [gold if isinstance(gold, str) else gold[0] for gold in golds]
    assert all(grade_pair(gold, each, "strict").correct for gold, each in zip(golds, first, strict=True))
    others = random.Random(1).sample(first, len(first))
    coincidences = {
        (a.strip(), b.strip()) for a, b in zip(first, others, strict=True) if grade_pair(a, b, "strict").correct
    }
    assert all(float(a) == float(b) for a, b in coincidences if a != b)  # 2.0 and 2, from different test sets
