"""Chains of digit operations over labelled terms: problems whose solution is short, checkable and can be written out.

`add:a6b6c0d4` starts with 6 and adds 6, 0 and 4 modulo 10. Five families differ in the operation and in the style of
the answer; the number of terms is the difficulty. Terms carry letters so that a small model finds the next one by
content. Each step of a written-out solution holds its own operands, so that it is a lookup, not arithmetic to learn.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

LETTERS = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"
MAX_TERMS = len(LETTERS)

Family = str
FACTORS: dict[Family, int] = {"add": 1, "dbl": 2, "frac": 1, "tup": 1, "dec": 2}
"""How often a term's digit counts, by family."""
FAMILIES: tuple[Family, ...] = tuple(FACTORS)


@dataclass(frozen=True)
class ChainProblem:
    """One problem: a family, and its digits in order."""

    family: Family
    digits: tuple[int, ...]

    @property
    def text(self) -> str:
        return f"{self.family}:" + "".join(f"{letter}{digit}" for letter, digit in self.labelled)

    @property
    def labelled(self) -> list[tuple[str, int]]:
        """The terms: each digit after its letter."""
        return [(LETTERS[index], digit) for index, digit in enumerate(self.digits)]

    @property
    def value(self) -> int:
        """The chain's result, a digit."""
        value = self.digits[0]
        for digit in self.digits[1:]:
            value = operate(self.family, value, digit)
        return value

    @property
    def answer(self) -> str:
        return style(self.family, self.value, self.digits)


def operate(family: Family, value: int, digit: int) -> int:
    """One step of the chain, modulo 10: add the digit as often as it counts."""
    return (value + FACTORS[family] * digit) % 10


def style(family: Family, value: int, digits: Sequence[int]) -> str:
    """A result in its family's answer style: integer, fraction, tuple or decimal."""
    if family == "frac":
        return rf"\frac{{{value}}}{{11}}"
    if family == "tup":
        return f"({value},{digits[-1]})"
    if family == "dec":
        return f"0.{value}"
    return str(value)


def draw(random_state: random.Random, family: Family, terms: int) -> ChainProblem:
    """A random problem of `terms` terms (2 to 26)."""
    return ChainProblem(family, tuple(random_state.randint(0, 9) for _ in range(terms)))


@dataclass(frozen=True)
class Mix:
    """A kind of problem: a family and a range of terms."""

    family: Family
    fewest: int
    most: int


# Benchmark → its kinds of problem. AIME's have the most terms: written out, they only fit the longer contexts.
BENCHMARK_MIXES: dict[str, tuple[Mix, ...]] = {
    "mini-aime-2024": (Mix("add", 12, 18), Mix("dbl", 12, 18)),
    "mini-math-500": tuple(Mix(family, 3, 9) for family in FAMILIES),
    "mini-amc-2023": (Mix("add", 6, 12), Mix("dbl", 6, 12)),
    "mini-minerva-math": (Mix("frac", 5, 12), Mix("dec", 5, 12)),
    "mini-olympiad-bench": (Mix("tup", 9, 16), Mix("frac", 9, 16)),
}

BENCHMARK_SEED = 2024
"""The benchmarks are the same whatever the scale's seed, so that runs compare."""

# What the training sources draw from: every family, short, middle and long.
TRAINING_RANGES: tuple[tuple[int, int], ...] = ((3, 8), (6, 12), (10, 18))


def draw_training(random_state: random.Random) -> ChainProblem:
    """A problem of the training distribution."""
    family = random_state.choice(FAMILIES)
    return draw(random_state, family, random_state.randint(*random_state.choice(TRAINING_RANGES)))


def draw_benchmark(benchmark: str, size: int, seed: int) -> list[ChainProblem]:
    """A benchmark's problems: its kinds in turn, all different."""
    random_state = random.Random(f"{benchmark}/{seed}")
    mixes = BENCHMARK_MIXES[benchmark]
    problems: dict[str, ChainProblem] = {}
    while len(problems) < size:
        mix = mixes[len(problems) % len(mixes)]
        problem = draw(random_state, mix.family, random_state.randint(mix.fewest, mix.most))
        problems.setdefault(problem.text, problem)
    return list(problems.values())
