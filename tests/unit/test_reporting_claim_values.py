"""Claim values out of a run's results, and the verdicts that follow."""

import csv
import json
import random
from pathlib import Path
from statistics import pstdev

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from deepscaler import records
from deepscaler.errors import UserError
from deepscaler.reporting.claims.check_claims import check_claims
from deepscaler.reporting.claims.claim_values import claim_value
from deepscaler.reporting.claims.results import Results
from synthetic_run import claim, claim_file, plain


def value_of(run: Path, **wanted: object) -> float:
    found = claim_value(Results.of("mini", run / "results" / "mini"), claim(measure=wanted).measure)
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


def test_the_error_of_a_length_is_clustered_by_problem(run: Path) -> None:
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
    estimate = claim_value(Results.of("mini", run / "results" / "mini"), claim(measure=cell).measure)
    assert estimate is not None
    # a bootstrap of few groups is smaller by sqrt((n - 1) / n)
    assert estimate.standard_error == pytest.approx(pstdev(means) * (40 / 39) ** 0.5, rel=0.05)


def test_problems_that_should_not_be_there_are_counted(run: Path) -> None:
    train = run / "work/mini/data/train/train.parquet"
    repeated = claim(measure={"of": "problems", "which": "repeated"}).measure
    assert claim_value(Results.of("mini", run / "results" / "mini"), repeated) is None
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
    assert value_of(run, of="problems", which="all") == 4
    assert value_of(run, of="completeness") == 100
    assert value_of(run, of="compute", rule="train_segment", quantity="core_hours") == pytest.approx(
        400 / 3600, abs=1e-3
    )
    last = value_of(run, of="curve", stage="24k", at="end")
    assert last == pytest.approx(value_of(run, of="table", system="deepscaler-24k", column="aime_2024"), abs=1e-3)
    assert value_of(run, of="curve", stage="8k", at="maximum") >= value_of(run, of="curve", stage="8k", at="end")
    assert value_of(run, of="curve", stage="8k", at="end", by=6) != value_of(run, of="curve", stage="8k", at="end")
    assert value_of(run, of="compute", rule="train_segment", stage="8k", quantity="wall_hours") == pytest.approx(
        200 / 3600, abs=1e-3
    )
    assert value_of(run, of="paper", value=12, over={"of": "paper", "value": 4}) == 3
    (run / "results/mini/figures/figure-3.pdf").unlink()
    assert value_of(run, of="completeness") < 100


def test_significance_is_of_an_improvement(run: Path) -> None:
    compared = {"of": "significance", "system": "deepscaler-24k", "against": "mini-base"}
    better = value_of(run, **compared, column="average")
    assert better < 0.01
    path = run / "results/mini/comparisons.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    for row in rows:
        row["difference"] = str(-float(row["difference"]))
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert value_of(run, **compared, column="average") == 1
    assert value_of(run, **compared, column="math_500") == 1


def test_what_is_not_there_is_not_run(run: Path) -> None:
    (run / "results/mini/scores/mini-base-table.json").unlink()
    cell = {"of": "tokens", "system": "mini-base", "column": "aime_2024", "answers": "all"}
    results = Results.of("mini", run / "results" / "mini")
    assert claim_value(results, claim(measure=cell).measure) is None
    gain = {**cell, "system": "deepscaler-8k", "minus": cell}
    assert claim_value(results, claim(measure=gain).measure) is None


def test_verdicts(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = {"of": "steps"}
    entries = [
        claim(id="right", measure=steps, expected=36),
        claim(id="wrong", measure=steps, expected=35),
        claim(id="elsewhere", measure=steps, expected=36, scales=["paper"]),
        claim(id="never", measure={"of": "nothing"}, scales=[], note="a quotation"),
        claim(id="sum", expected=1),
    ]
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(claim_file([plain(e) for e in entries], ("mini", "paper"))), encoding="utf-8")
    check_claims(scale="mini", claims_file=path, folder=run / "results/mini", output=tmp_path / "claims.csv")
    rows = list(csv.DictReader((tmp_path / "claims.csv").open(encoding="utf-8")))
    assert [(row["id"], row["verdict"], row["measured"], row["machine_hours"]) for row in rows] == [
        ("right", "met", "36", "1"), ("wrong", "outside", "36", "1"), ("elsewhere", "not run", "", "1"),
        ("never", "not measurable", "", ""), ("sum", "met", "1", "0"),
    ]  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "Claims: measured: 1 met, 1 outside; by the paper's arithmetic: 1 met, 0 outside; 1 not run; 1 not measurable"
    )
    assert "  outside: wrong: expected 35, measured 36" in lines


def test_a_scores_file_that_is_no_json_is_an_error_for_people(run: Path) -> None:
    path = run / "results/mini/scores/mini-base-table.json"
    path.write_text(json.dumps({})[:1], encoding="utf-8")
    with pytest.raises(UserError, match="not valid JSON"):
        Results.of("mini", run / "results/mini").scores("mini-base")
