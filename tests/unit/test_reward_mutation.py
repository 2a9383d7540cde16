"""Wrong answers made of right ones (`benchmarks/reward_mutation.py`): none that changes a value is accepted."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from deepscaler.reward.grade import grade_pair

ROOT = Path(__file__).parents[2]
GOLDS = (
    *("204", "-17", "\\frac{35}{64}", "\\frac{14}{3}", "3\\sqrt{13}", "2\\pi-7", "\\$36", "6.5\\cdot 10^{3}"),
    *("\\left( 3, \\frac{\\pi}{2} \\right)", "(4,-2,7)", "[2,5)", "(-\\infty,3]\\cup[8,\\infty)", "x<5", "1\\le x<4"),
    *("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "a=3,b=8", "7,9,12", "y=2x+5", "x^2+3x-4", "15\\text{ cm}^2"),
    *(
        "\\lfloor n/3\\rfloor+2",
        "\\frac{x+2}{x-5}",
        "2^{n+1}-3",
        "\\sin x+2",
        "e^{-4t}",
        "\\{1,5\\}",
        "5\\text{ hours}",
    ),
)
CHANGES = frozenset(("digit", "sign", "unit", "swapped pair", "swapped cells", "relation", "operator", "words before"))
"""Rules whose mutants are always wrong; others sometimes make another spelling of the gold."""


@pytest.fixture(scope="module")
def mutation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reward_mutation", ROOT / "benchmarks" / "reward_mutation.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


def accepted(
    mutation: ModuleType, golds: list[str], count: int, rules: frozenset[str] = CHANGES
) -> list[tuple[str, str, str]]:
    return [
        (mutant.rule, mutant.gold, mutant.text)
        for mutant in mutation.mutants(golds, count, seed=7)
        if mutant.rule in rules and grade_pair(mutant.gold, mutant.text, "strict").correct
    ]


def test_no_mutant_of_usual_golds_is_accepted(mutation: ModuleType) -> None:
    made = mutation.mutants(list(GOLDS), 1500, seed=7)
    assert {mutant.rule for mutant in made} == set(mutation.RULES)
    assert not accepted(mutation, list(GOLDS), 1500, CHANGES | {"words behind"})  # no gold is 0, of which a dozen is 0


def test_no_mutant_of_the_benchmarks_is_accepted(mutation: ModuleType, shared: Path) -> None:
    assert not accepted(mutation, mutation.golds(shared / "data" / "benchmarks"), 3000)
