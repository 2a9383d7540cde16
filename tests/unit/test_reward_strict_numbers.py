"""Roots, sample points and huge numbers of the strict grader."""

import random
from fractions import Fraction

import pytest
from deepscaler.reward.strict.compare.logarithms import equal_by_logarithms
from deepscaler.reward.strict.compare.modular import equal_by_remainders
from deepscaler.reward.strict.compare.roots import polynomial, real_roots
from deepscaler.reward.strict.compare.samples import samples, traits_of
from deepscaler.reward.strict.parse.answers import parse_answer
from deepscaler.reward.strict.tree import Node, Scalar


def tree(text: str) -> Node:
    answer = parse_answer(text)
    assert isinstance(answer, Scalar)
    return answer.node


def test_roots_of_random_polynomials_repeated_ones_too() -> None:
    draw = random.Random(3)
    for _ in range(100):
        roots = sorted(Fraction(draw.randint(-40, 40), draw.randint(1, 7)) for _ in range(draw.randint(1, 5)))
        coefficients = [Fraction(draw.choice((-3, 1, 2)))]
        for root in roots:
            shifted = [Fraction(0), *coefficients]
            coefficients = [a - root * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
        found = real_roots(tuple(coefficients))
        assert found == pytest.approx(sorted({float(root) for root in roots}), abs=1e-7)


def test_a_polynomial_is_read_from_its_expression() -> None:
    assert polynomial(tree("(3x-1)^2+\\frac{x}{2}"), "x") == (Fraction(1), Fraction(-11, 2), Fraction(9))
    assert polynomial(tree("\\sqrt{x}+1"), "x") is None
    assert polynomial(tree("xy"), "x") is None


def test_points_lie_on_both_sides_of_every_kink_and_beyond_every_constant() -> None:
    node = tree("|x-40|+|3x+75|+\\max(x,900)")
    values = sorted(point["x"] for point, _ in samples(traits_of(node), node))
    between = [-25.0, 40.0, 900.0]
    for low, high in zip([-1e9, *between], [*between, 1e9], strict=True):
        assert any(low < value < high for value in values), (low, high)
    assert set(between) <= set(values)


def test_whole_numbers_reach_every_residue_of_a_divisor() -> None:
    for text in ("\\lfloor n/7\\rfloor", "n \\bmod 11"):
        node = tree(text)
        values = {point["n"] for point, _ in samples(traits_of(node), node)}
        assert all(value == int(value) and value > 1 for value in values)
        assert {int(value) % 11 for value in values} == set(range(11))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("\\binom{5000}{1234}", "\\frac{5000!}{1234!3766!}", True),
        ("\\binom{5000}{1234}", "\\binom{5000}{1235}", False),
        ("12^{4321}", "3^{4321}2^{8642}", True),
        ("7^{7^{9}}", "7\\cdot 7^{7^{9}-1}", True),
        ("\\sqrt{2}", "2", None),
        ("\\frac{1}{3^{4000}-9^{2000}}", "1", None),
    ],
)
def test_remainders(one: str, other: str, equal: bool | None) -> None:
    assert equal_by_remainders(tree(one), tree(other)) is equal


def test_logarithms() -> None:
    assert equal_by_logarithms(tree("5^{4000}\\sqrt{6}"), tree("25^{2000}\\sqrt2\\sqrt3"))
    assert not equal_by_logarithms(tree("5^{4000}\\sqrt{6}"), tree("5^{4000}\\sqrt{7}"))
    assert not equal_by_logarithms(tree("5^{4000}+\\sqrt{6}"), tree("5^{4000}+\\sqrt{7}"))
