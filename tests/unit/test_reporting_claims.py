"""Claims: the file, what is measured, and the verdicts."""

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from statistics import pstdev

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from deepscaler import records, settings
from deepscaler.errors import UserError
from deepscaler.reporting.claims.check_claims import check_claims, expectation
from deepscaler.reporting.claims.claim_values import measure
from deepscaler.reporting.claims.results import Results
from deepscaler.settings.claims import (
    Claim,
    ClaimFile,
    Constant,
    Measured,
    Significance,
    TableCell,
    TokenCell,
    Unmeasured,
    claims,
)
from deepscaler.settings.models import Published

WORDS = {"three-times-as-long", "base-wrong-over-right", "third-of-tokens", "third-of-tokens-8k", "days", "doubling",
         "speed-16k-from-start", "cost-per-hour"}  # fmt: skip
"""Claims whose number the paper says in words, or rounds with "about"."""
ALSO = {
    "average-gain-printed": "8.1", "drop-at-8k": "6%", "drop-at-8k-printed": "6%", "lengths-imply-base": "28.8",
    "second-switch": "1520", "steps-16k": "480", "gpus-8k": "8 个", "gpus-16k": "32 个", "gpus-24k": "32 个",
}  # fmt: skip
"""Where a bare number would be found by accident: what to find."""


def claim(**change: object) -> Claim:
    base = {"id": "x", "statement": "s", "place": "p", "scales": ["mini"], "measure": {"of": "paper", "value": 1},
            "expected": 10, "reason": "r"}  # fmt: skip
    return Claim.model_validate(base | change)


def every_measure(wanted: Measured | None) -> list[Measured]:
    return [] if wanted is None else [wanted, *every_measure(wanted.minus), *every_measure(wanted.over)]


def test_every_claim_asks_for_what_there_is() -> None:
    columns = {benchmark.column for benchmark in settings.benchmarks().values()} | {"average"}
    for entry in claims().claims:
        for wanted in every_measure(entry.measure):
            if isinstance(wanted, TableCell | TokenCell):
                assert wanted.column in columns, entry.id
                for scale in entry.scales:
                    assert wanted.system in settings.load_scale(scale).evaluation.systems, entry.id


def test_every_scale_has_claims_of_its_own() -> None:
    for scale in settings.scale_names():
        assert any(scale in c.scales and not isinstance(c.measure, Constant) for c in claims().claims), scale


def paper_text(shared: Path) -> str:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((shared / "paper").glob("*.txt")))
    return text.replace(",", "")


def test_expected_values_stand_in_the_paper(shared: Path) -> None:
    text = paper_text(shared)
    looked_up: list[str] = []
    for entry in claims().claims:
        sign = isinstance(entry.measure, Significance) or entry.expected == 0
        if entry.scales == ["mini"] or entry.id in WORDS or sign:
            continue
        expected = entry.expected * (100 if entry.unit == "reward" else 1)
        spellings = (ALSO[entry.id],) if entry.id in ALSO else (f"{expected:g}", f"{expected:.1f}")
        assert any(spelling in text for spelling in spellings), f"{entry.id}: {spellings}"
        looked_up.append(entry.id)
    assert len(looked_up) > 80


def test_every_cell_of_the_papers_table_is_a_claim(shared: Path) -> None:
    """Measured at `released`, or said to be a quotation."""
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


def test_a_claim_may_ask_to_be_clear_by_its_own_error() -> None:
    asked = claim(comparison="at_least", expected=1, errors=3)
    assert asked.holds(1.4, 0.1)
    assert not asked.holds(1.2, 0.1)
    assert claim(comparison="at_most", expected=1, errors=3).holds(0.6, 0.1)
    assert not claim(comparison="at_most", expected=1, errors=3).holds(0.8, 0.1)
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
def test_a_wrong_claim_is_refused_with_its_place(tmp_path: Path, change: dict[str, object], message: str) -> None:
    entry = claim().model_dump(exclude_none=True, mode="json") | change
    effort = {"mini": {"command": "make mini", "human_minutes": 1, "machine_hours": 1, "machine": "laptop"}}
    path = tmp_path / "claims.yaml"
    path.write_text(
        yaml.safe_dump({"effort": effort, "arithmetic": effort["mini"], "claims": [entry]}), encoding="utf-8"
    )
    with pytest.raises(UserError) as raised:
        claims(path)
    assert message in str(raised.value)
    assert "claims.yaml" in str(raised.value)


def test_two_claims_of_one_name_are_refused() -> None:
    effort = {"mini": {"command": "c", "human_minutes": 1, "machine_hours": 1, "machine": "m"}}
    with pytest.raises(ValueError, match="two claims are called 'x'"):
        ClaimFile.model_validate({"effort": effort, "arithmetic": effort["mini"], "claims": [claim(), claim()]})


def value_of(run: Path, **wanted: object) -> float:
    found = measure(Results.of("mini", run / "results" / "mini"), claim(measure=wanted).measure)
    assert found is not None
    return found.value


def grades(run: Path, system: str, benchmark: str) -> list[dict[str, object]]:
    table = records.read(run / f"work/mini/grades/{system}/table.parquet", records.GRADE)
    return [row for row in table.to_pylist() if row["benchmark"] == benchmark]


def test_a_cell_and_a_gain_follow_from_the_grades(run: Path) -> None:
    def rate(system: str) -> float:
        rows = grades(run, system, "mini-aime-2024")
        return 100 * sum(bool(row["paper"]) for row in rows) / len(rows)

    cell = {"of": "table", "system": "deepscaler-8k", "column": "aime_2024"}
    assert value_of(run, **cell) == pytest.approx(rate("deepscaler-8k"), abs=1e-3)
    gain = value_of(run, **cell, against="mini-base")
    assert gain == pytest.approx(rate("deepscaler-8k") - rate("mini-base"), abs=1e-3)


def test_lengths_follow_from_the_grades(run: Path) -> None:
    rows = grades(run, "mini-base", "mini-aime-2024")
    wrong = [int(str(row["tokens"])) for row in rows if not row["paper"]]
    cell = {"of": "tokens", "system": "mini-base", "column": "aime_2024"}
    assert value_of(run, **cell, answers="wrong") == pytest.approx(sum(wrong) / len(wrong), abs=0.1)
    cut = 100 * sum(row["finish_reason"] == "length" for row in rows) / len(rows)
    assert value_of(run, **cell, answers="truncated") == pytest.approx(cut, abs=1e-3)


def test_a_limit_counts_longer_answers_as_wrong_and_cut_off(run: Path) -> None:
    rows = grades(run, "deepscaler-24k", "mini-aime-2024")
    lengths = sorted(int(str(row["tokens"])) for row in rows)
    limit = lengths[len(lengths) // 2]
    right = sum(bool(row["paper"]) and int(str(row["tokens"])) <= limit for row in rows)
    cell = {"system": "deepscaler-24k", "column": "aime_2024", "limit": limit}
    assert value_of(run, of="table", **cell) == pytest.approx(100 * right / len(rows))
    assert value_of(run, of="table", **cell) < value_of(run, of="table", **cell | {"limit": None})
    mean = value_of(run, of="tokens", answers="all", **cell)
    assert mean == pytest.approx(sum(min(length, limit) for length in lengths) / len(lengths))


def test_a_length_errs_by_what_problems_and_samples_vary(run: Path) -> None:
    """Against a bootstrap over problems."""
    rows = grades(run, "mini-base", "mini-aime-2024")
    problems = [[int(str(row["tokens"])) for row in rows if row["problem_id"] == name]
                for name in sorted({str(row["problem_id"]) for row in rows})]  # fmt: skip
    generator = random.Random(0)
    means = []
    for _ in range(4000):
        drawn = [value for group in generator.choices(problems, k=len(problems)) for value in group]
        means.append(sum(drawn) / len(drawn))
    cell = {"of": "tokens", "system": "mini-base", "column": "aime_2024", "answers": "all"}
    estimate = measure(Results.of("mini", run / "results" / "mini"), claim(measure=cell).measure)
    assert estimate is not None
    # a bootstrap of few groups is smaller by sqrt((n - 1) / n)
    assert estimate.standard_error == pytest.approx(pstdev(means) * (6 / 5) ** 0.5, rel=0.05)


def test_problems_that_should_not_be_there_are_counted(run: Path) -> None:
    train = run / "work/mini/data/train/train.parquet"
    assert measure(Results.of("mini", run / "results" / "mini"), claim(measure={"of": "problems", "which": "repeated"})
                   .measure) is None  # fmt: skip
    train.parent.mkdir(parents=True)
    test = pq.read_table(run / "work/mini/benchmarks/mini-aime-2024.parquet")["problem"].to_pylist()[0]
    pq.write_table(pa.table({"problem": ["one", "two ", " ONE", test.upper()]}), train)
    assert value_of(run, of="problems", which="repeated") == 1
    assert value_of(run, of="problems", which="in_benchmarks") == 1


def test_a_malformed_answer_that_was_rewarded_is_counted(run: Path) -> None:
    assert value_of(run, of="malformed_right") == 0
    path = run / "work/mini/grades/mini-base/table.parquet"
    rows = records.read(path, records.GRADE).to_pylist()
    next(row for row in rows if row["paper"])["well_formed"] = False
    records.write(path, rows, records.GRADE)
    assert value_of(run, of="malformed_right") == 1


def test_training_values_are_means_of_steps_in_a_row(run: Path) -> None:
    base = {"of": "training", "stage": "8k", "series": "reward", "steps": 3}
    # the made-up reward is 0.3 + step / 100
    assert value_of(run, **base, at="start") == pytest.approx(0.32)
    assert value_of(run, **base, at="end") == pytest.approx(0.41)
    assert value_of(run, **base, at="maximum") == pytest.approx(0.41)
    assert value_of(run, **base | {"steps": 999}, at="minimum") == pytest.approx(0.365)


def test_other_measures(run: Path) -> None:
    assert value_of(run, of="steps") == 36
    assert value_of(run, of="steps", stage="8k") == 12
    assert value_of(run, of="problems") == 4
    assert value_of(run, of="completeness") == 100
    assert value_of(run, of="compute", rule="train_segment", quantity="core_hours") == pytest.approx(
        2 * 400 / 3600, abs=1e-3
    )
    last = value_of(run, of="curve", stage="24k")
    assert last == pytest.approx(value_of(run, of="table", system="deepscaler-24k", column="aime_2024"), abs=1e-3)
    assert value_of(run, of="curve", stage="8k", at="maximum") >= value_of(run, of="curve", stage="8k")
    assert value_of(run, of="curve", stage="8k", by=6) != value_of(run, of="curve", stage="8k")
    assert value_of(run, of="compute", rule="train_segment", stage="8k", quantity="wall_hours") == pytest.approx(
        200 / 3600, abs=1e-3
    )
    assert value_of(run, of="paper", value=12, over={"of": "paper", "value": 4}) == 3
    (run / "results/mini/figures/figure-3.pdf").unlink()
    assert value_of(run, of="completeness") < 100


def test_significance_is_of_an_improvement(run: Path) -> None:
    better = value_of(run, of="significance", system="deepscaler-24k", against="mini-base")
    assert better < 0.01
    path = run / "results/mini/comparisons.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    for row in rows:
        row["difference"] = str(-float(row["difference"]))
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert value_of(run, of="significance", system="deepscaler-24k", against="mini-base") == 1
    assert value_of(run, of="significance", system="deepscaler-24k", against="mini-base", column="math_500") == 1


def test_what_is_not_there_is_not_run(run: Path) -> None:
    (run / "results/mini/scores/mini-base-table.json").unlink()
    cell = {"of": "tokens", "system": "mini-base", "column": "aime_2024", "answers": "all"}
    results = Results.of("mini", run / "results" / "mini")
    assert measure(results, claim(measure=cell).measure) is None
    gain = {**cell, "system": "deepscaler-8k", "minus": cell}
    assert measure(results, claim(measure=gain).measure) is None


def test_verdicts(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    effort = {"mini": {"command": "make mini", "human_minutes": 1, "machine_hours": 1, "machine": "laptop"}}
    effort |= {"paper": effort["mini"]}
    steps = {"of": "steps"}
    entries = [
        claim(id="right", measure=steps, expected=36),
        claim(id="wrong", measure=steps, expected=35),
        claim(id="elsewhere", measure=steps, expected=36, scales=["paper"]),
        claim(id="never", measure={"of": "nothing"}, scales=[], note="a quotation"),
        claim(id="sum", expected=1),
    ]
    path = tmp_path / "claims.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "effort": effort,
                "arithmetic": effort["mini"] | {"machine_hours": 0},
                "claims": [e.model_dump(mode="json", exclude_none=True) for e in entries],
            }
        ),
        encoding="utf-8",
    )
    check_claims("mini", path, run / "results/mini", tmp_path / "claims.csv")
    rows = list(csv.DictReader((tmp_path / "claims.csv").open(encoding="utf-8")))
    assert [(row["id"], row["verdict"], row["measured"], row["machine_hours"]) for row in rows] == [
        ("right", "met", "36", "1"), ("wrong", "outside", "36", "1"), ("elsewhere", "not run", "", "1"),
        ("never", "not run", "", ""), ("sum", "met", "1", "0"),
    ]  # fmt: skip
    assert "outside: wrong: expected 35, measured 36" in capsys.readouterr().out


def test_a_scores_file_that_is_no_json_is_an_error_for_people(run: Path) -> None:
    path = run / "results/mini/scores/mini-base-table.json"
    path.write_text(json.dumps({})[:1], encoding="utf-8")
    with pytest.raises(UserError, match="not valid JSON"):
        Results.of("mini", run / "results/mini").scores("mini-base")
