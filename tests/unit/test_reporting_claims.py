"""Claims: the file, held against the paper, and what a claim allows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.reporting.claims.check_claims import expectation
from deepscaler.settings.claims import (
    ClaimFile,
    Constant,
    Significance,
    TableCell,
    TokenCell,
    Unmeasured,
    Value,
    claims,
)
from deepscaler.settings.models import Published
from synthetic_run import claim, claim_file, plain

WORDS = {"three-times-as-long", "base-wrong-over-right", "third-of-tokens", "third-of-tokens-8k", "days", "doubling",
         "speed-16k-from-start", "cost-per-hour", "beats-rstar", "beats-o1-math",
         "average-gain-at-8k", "average-gain-at-16k", "average-gain-at-24k"}  # fmt: skip
"""Claims whose number the paper has in words, rounds by "about", or does not say (half of a gain, a stage's share)."""
ALSO = {
    "average-gain-printed": "8.1", "drop-at-8k": "6%", "drop-at-8k-printed": "6%", "lengths-imply-base": "28.8",
    "second-switch": "1520", "steps-16k": "480", "gpus-8k": "8 个", "gpus-16k": "32 个", "gpus-24k": "32 个",
}  # fmt: skip
"""Where a bare number would be found by accident: what to find."""


def every_measure(measure: Value | None) -> list[Value]:
    return [] if measure is None else [measure, *every_measure(measure.minus), *every_measure(measure.over)]


def test_every_claim_measures_what_exists() -> None:
    columns = {benchmark.column for benchmark in settings.benchmarks().values()} | {"average"}
    for entry in claims().claims:
        for measure in every_measure(entry.measure):
            if isinstance(measure, TableCell | TokenCell):
                assert measure.column in columns, entry.id
                for scale in entry.scales:
                    assert measure.system in settings.load_scale(scale).evaluation.systems, entry.id


NOTHING_SAID = {"laptop", "mini-async"}
"""Scales of which neither the paper nor this repository states a result."""


def test_every_scale_has_claims_of_its_own() -> None:
    rehearsals = {name for name in settings.scale_names() if settings.load_scale(name).rehearsal}
    for scale in set(settings.scale_names()) - NOTHING_SAID - rehearsals:
        assert any(scale in c.scales and not isinstance(c.measure, Constant) for c in claims().claims), scale


def paper_text(shared: Path) -> str:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((shared / "paper").glob("*.txt")))
    return text.replace(",", "")


def test_expected_values_stand_in_the_paper(shared: Path) -> None:
    text = paper_text(shared)
    looked_up: list[str] = []
    for entry in claims().claims:
        sign = isinstance(entry.measure, Significance) or entry.expected == 0
        if entry.scales == ["mini"] or entry.id in WORDS or sign or entry.section.startswith("not the paper's"):
            continue
        expected = entry.expected * (100 if entry.unit == "reward" else 1)
        spellings = (ALSO[entry.id],) if entry.id in ALSO else (f"{expected:g}", f"{expected:.1f}")
        assert any(spelling in text for spelling in spellings), f"{entry.id}: {spellings}"
        looked_up.append(entry.id)
    assert len(looked_up) > 80


def test_every_cell_of_the_papers_table_is_a_claim(shared: Path) -> None:
    """Value at `released`, or marked as a quotation."""
    table = paper_text(shared).split("## 评估")[1]
    columns = ["aime_2024", "math_500", "amc_2023", "minerva_math", "olympiad_bench", "average"]
    titles = {entry.title: name for name, entry in settings.systems().items()}
    rows = 0
    for line in table.splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if len(cells) != 7 or cells[0] not in titles:
            continue
        rows += 1
        for column, cell in zip(columns, cells[1:], strict=True):
            if cell != "-":
                assert float(cell) in set(claimed(titles[cells[0]], column)), (cells[0], column)
    assert rows == 8


def claimed(system: str, column: str) -> Iterator[float]:
    """What claims expect of a cell of the table."""
    entry = settings.systems()[system]
    for one in claims().claims:
        cell = one.measure
        if isinstance(cell, Unmeasured) and one.statement.startswith(f"{entry.title} reaches"):
            yield one.expected
        if isinstance(cell, TableCell) and (cell.system, cell.column) == (system, column):
            bare = cell.against is None and cell.limit is None and cell.minus is None and cell.over is None
            if bare and "released" in one.scales:
                yield one.expected


def test_the_systems_file_and_the_claims_have_the_same_numbers() -> None:
    cells = 0
    for name, entry in settings.systems().items():
        if isinstance(entry, Published):
            for column, value in entry.paper.items():
                assert value in set(claimed(name, column)), (name, column)
                cells += 1
    assert cells == 6 * 6, "six systems with weights, five benchmarks and their average"


@pytest.mark.parametrize(
    ("comparison", "tolerance", "value", "holds"),
    [
        ("within", 1, 11, True), ("within", 1, 11.1, False), ("within", 0, 10, True), ("within", 1, 8.9, False),
        ("at_least", 0, 10, True), ("at_least", 0, 99, True), ("at_least", 0, 9.9, False), ("at_least", 1, 9, True),
        ("at_most", 0, 10, True), ("at_most", 0, -5, True), ("at_most", 0, 10.1, False), ("at_most", 1, 11, True),
    ],
)  # fmt: skip
def test_holds(comparison: str, tolerance: float, value: float, holds: bool) -> None:
    assert claim(comparison=comparison, tolerance=tolerance).holds(value) is holds


def test_a_claim_may_require_a_distance_of_standard_errors() -> None:
    checked = claim(comparison="at_least", expected=1, errors=3)
    assert checked.holds(1.4, 0.1)
    assert not checked.holds(1.2, 0.1)
    assert claim(comparison="at_most", expected=1, errors=3).holds(0.6, 0.1)
    assert not claim(comparison="at_most", expected=1, errors=3).holds(0.8, 0.1)
    with pytest.raises(ValueError, match="a standard error is needed"):
        checked.holds(1.4)
    with pytest.raises(ValueError, match="`errors` are of at_least and at_most"):
        claim(errors=3)


def test_expectation_is_written_for_people() -> None:
    assert expectation(claim(tolerance=2, unit="%")) == "10 ± 2 %"
    assert expectation(claim(comparison="at_least", unit="points")) == "≥ 10 points"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expectd": 3}, "did you mean 'expected'"),
        ({"measure": {"of": "tabel"}}, "of"),
        ({"scales": ["minni"]}, "no effort is given for scale 'minni'"),
        ({"comparison": "about"}, "comparison"),
        ({"scales": []}, "scales say where it is measured"),
        ({"scales": [], "measure": {"of": "nothing"}}, "the note must say why nothing is measured"),
    ],
)
def test_a_wrong_claim_is_refused_with_its_file(tmp_path: Path, change: dict[str, object], message: str) -> None:
    entry = plain(claim()) | change
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(claim_file([entry])), encoding="utf-8")
    with pytest.raises(UserError) as raised:
        claims(path)
    assert message in str(raised.value)
    assert "claims.yaml" in str(raised.value)


def test_two_claims_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two claims are called 'x'"):
        ClaimFile.model_validate(claim_file([plain(claim()), plain(claim())]))


def test_a_claim_says_only_what_differs_from_every_claim() -> None:
    entry = plain(claim())
    del entry["tolerance"], entry["comparison"]
    content = claim_file([entry | {"counts": "for nothing"}])
    content["every_claim"] = {"counts": "as a check", "comparison": "at_least", "tolerance": 3}
    [made] = ClaimFile.model_validate(content).claims
    assert (made.counts, made.comparison, made.tolerance) == ("for nothing", "at_least", 3)
    content["every_claim"] = {"counts": "as a check", "comparison": "at_least"}
    with pytest.raises(ValueError, match="tolerance"):
        ClaimFile.model_validate(content)
