"""Mode `paper`: verdict for verdict what DeepScaleR's grader says, whose twin OpenRLHF installs."""

import importlib.util
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from deepscaler.reward.explain import views
from deepscaler.reward.gradable import gradable
from deepscaler.reward.grade import grade_pair
from deepscaler.reward.paper import arithmetic, expression, latex
from deepscaler.reward.verdicts import MAX_ANSWER, Refused

QUIRKS = [
    (r"\frac{1}{2}", "0.5", True),
    ("1/2", "2/4", False),
    ("1024", "2^{10}", False),
    ("10", r"10\%", True),
    ("0.1", r"10\%", False),
    ("5", "5.0000000001", True),
    (r"\cot x", r"\csc x", True),
    (r"\sqrt[3]{2}", r"\sqrt{2}", True),
    (r"\frac{1}{4p^2}", r"\frac{1}{4}p^2", True),
    ("(312,123,231)", "312123231", True),
    ("52_8", "528", True),
    ("(1,2)", "(1, 2)", True),
    ("(1,2)", "(2,1)", False),
    ("(1,2)", "[1,2]", False),
    ("x+1", "1+x", True),
    ("a+b+c", "c+b+a", False),
    (r"2\pi", r"\pi\cdot2", True),
    (r"\sqrt{8}", r"2\sqrt{2}", True),
    ("3!", "6.0", False),
    (r"\ln(x^2)", r"2\ln(x)", False),
    (r"\text{east}", "East", True),
    ("12 cm", "12", True),
    ("1,000", "1000", True),
    ("", "5", False),
]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], bool]:
    """OpenRLHF's grader, loaded from its file alone: the package itself takes seconds to import."""
    package = importlib.util.find_spec("openrlhf")
    if package is None or not package.submodule_search_locations:
        pytest.skip("OpenRLHF is not installed")
    path = Path(package.submodule_search_locations[0]) / "utils" / "math_utils.py"
    spec = importlib.util.spec_from_file_location("oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.grade_answer


@pytest.mark.parametrize(("gold", "answer", "correct"), QUIRKS)
def test_quirks_are_kept(gold: str, answer: str, correct: bool, oracle: Callable[[str, str], bool]) -> None:
    assert grade_pair(gold, answer, "paper").correct is correct
    assert oracle(answer, gold) is correct


def test_agrees_with_the_oracle_on_random_arithmetic(oracle: Callable[[str, str], bool]) -> None:
    """Expressions from the oracle's own language, equal and unequal: precedences, signs, implicit products."""
    draw = random.Random(0)
    atoms = ["2", "3", "12", "0.5", "1/2", "x", "y", "xy", "2x", "pi", r"\sqrt{2}", "(x+1)", "(2-y)", r"\frac{3}{4}"]
    for _ in range(150):
        left = "".join(draw.choice(atoms) + draw.choice(["+", "-", "*", "/", "", "^2*"]) for _ in range(3)) + "1"
        right = left if draw.random() < 0.3 else left.replace(draw.choice("123xy"), draw.choice("123xy"))
        right = draw.choice([right, f"({right})", f"{right}+0", f"1*({right})"])
        assert grade_pair(left, right, "paper").correct == oracle(right, left), (left, right)


def test_agrees_with_the_oracle_on_public_cases(shared: Path, oracle: Callable[[str, str], bool]) -> None:
    lines = (shared / "grading" / "cases_public.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [(case["gold"], case["pred"]) for case in map(json.loads, lines)]
    differing = [(g, p) for g, p in cases if grade_pair(g, p, "paper").correct != oracle(p, g)]
    assert differing == []


def test_agrees_with_the_oracle_on_shuffled_golds(shared: Path, oracle: Callable[[str, str], bool]) -> None:
    golds = []
    for path in sorted((shared / "data" / "benchmarks").glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            answer = row["answer"]
            golds.append(str(answer[0] if isinstance(answer, list) else answer))
    others = random.Random(0).sample(golds, len(golds))
    differing = [
        (g, p) for g, p in zip(golds, others, strict=True) if grade_pair(g, p, "paper").correct != oracle(p, g)
    ]
    assert differing == []


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "x.y",
        "[1,2]",
        "lambda:1",
        '"a"',
        "0x10",
        "1_000",
        "eye(3)",
        "id(1)",
        "x if x else y",
        "(" * 60 + "1" + ")" * 60,
        "9" * 500,
    ],
)
def test_text_outside_the_whitelist_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        expression.parse(text)


@pytest.mark.parametrize("text", ["9**9**9**9", "10**(10**8)", "9999999!", "(x+1)**5000", "2**99999999", "3!!"])
def test_expressions_that_explode_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        arithmetic.check_size(expression.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        r"\frac{" * 11 + " " * 3900,
        r"\frac{" * 14 + "\\" + "a" * 3880,
        r"\cite[" * 40,
        r"\frac{" * 30,
        r"\textcolor{\(" * 40 + "}" * 40,
        r"\frac{\begin{a}}" * 40,
        r"\hat{]" * 40,
    ],
)
def test_latex_that_is_read_over_and_over_is_refused(text: str) -> None:
    """Unbounded, each of these takes pylatexenc minutes or gigabytes."""
    with pytest.raises(Refused):
        latex.to_text(text)
    assert not grade_pair(r"\frac{1}{2}", text, "paper").correct
    assert gradable(text) == (False, next(seen for layer, seen in views(text, "paper") if layer == "symbolic form"))


def test_an_answer_is_read_alike_whatever_came_before_it() -> None:
    alone = latex.to_text(r"\maketitle")
    latex.to_text(r"\title{7}")
    assert latex.to_text(r"\maketitle") == alone


def test_long_well_formed_latex_is_read() -> None:
    long = "+".join([r"\frac{1}{2}"] * 330)
    assert MAX_ANSWER - 100 < len(long) < MAX_ANSWER
    assert latex.to_text(long) == "+".join(["1/2"] * 330)
    nested = r"\frac{1}{1+" * 40 + "1" + "}" * 40
    assert latex.to_text(nested).count("1") == 81
