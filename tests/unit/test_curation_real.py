"""What is known of the real sources, found by text alone; docs/data.md has what embeddings add."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from deepscaler.curation.decontaminate import exact_pairs
from deepscaler.curation.deduplicate import exact_twins
from deepscaler.curation.normalise import canonical

Rows = list[dict[str, Any]]


def read(path: Path) -> Rows:
    rows: Rows = json.loads(path.read_text(encoding="utf-8"))
    return rows


@pytest.fixture(scope="module")
def aime(shared: Path) -> Rows:
    return read(shared / "data/sources/aime.json")


@pytest.fixture(scope="module")
def math(shared: Path) -> Rows:
    return read(shared / "data/sources/math.json")


def letters_and_digits(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def test_the_duplicates_of_aime_and_math_are_found(aime: Rows, math: Rows) -> None:
    """356 problems are in both when only letters and digits are compared; a key that keeps more finds them too."""
    ours = {canonical(row["problem"]) for row in math}
    loose = {letters_and_digits(row["problem"]) for row in math}
    known = [row for row in aime if letters_and_digits(row["problem"]) in loose]
    missed = [row for row in known if canonical(row["problem"]) not in ours]
    assert len(known) == 356
    # in one copy $\triangle$ has lost its backslash; its embedding is near enough
    assert [(row["year"], row["problem_number"]) for row in missed] == [(2012, 13)]


def test_within_math_only_equal_problems_are_taken_for_equal(math: Rows) -> None:
    """Of nine pairs with the same letters and digits five differ in an operator, and so in their answers."""
    first: dict[str, dict[str, Any]] = {}
    pairs = []
    for row in math:
        other = first.setdefault(letters_and_digits(row["problem"]), row)
        if other is not row:
            pairs.append((other, row))
    assert len(pairs) == 9
    same = [a for a, b in pairs if canonical(a["problem"]) == canonical(b["problem"])]
    different = [(a["answer"], b["answer"]) for a, b in pairs if canonical(a["problem"]) != canonical(b["problem"])]
    assert len(same) == 3
    assert len(exact_twins(math)) == len(same) + 1  # and one pair that differs in letters of typesetting alone
    assert (r"\frac{1}{3}", r"\frac13") in different, "log_8 2 and log_82: missed"
    assert len(different) == 6


def test_the_six_problems_of_math_500_in_aime_are_found(shared: Path, aime: Rows) -> None:
    tests = read(shared / "data/benchmarks/math.json")
    found = exact_pairs([row["problem"] for row in aime], [row["problem"] for row in tests])
    contaminated = {(aime[index]["year"], aime[index]["problem_number"]) for index, _ in found}
    assert contaminated == {(1983, 2), (1994, 13), (2001, 3), (2010, 6), (2015, 6), (2017, 7)}
