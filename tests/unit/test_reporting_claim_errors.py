"""Standard errors of claims, through the verb `check_claims` on a run's Parquet, against independent computations."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from deepscaler import records
from deepscaler.evaluation.score import score
from deepscaler.reporting.claims.check_claims import check_claims
from deepscaler.settings import claims as claim_settings
from numpy.typing import NDArray
from scipy import stats
from synthetic_run import claim, claim_file, grades_of, make_tables, plain, scores_of

Grade = dict[str, Any]
BENCHMARKS = 5
CELL = {"of": "table", "system": "deepscaler-24k", "column": "aime_2024"}
AVERAGE = CELL | {"column": "average"}
LENGTH = {"of": "tokens", "system": "mini-base", "column": "average", "answers": "wrong"}


def checked(run: Path, measure: dict[str, object], **entry: object) -> dict[str, str]:
    """The row of claims.csv of a claim that measures this."""
    path, output = run / "claims.yaml", run / "claims.csv"
    made = plain(claim(measure=measure, **entry))
    path.write_text(yaml.safe_dump(claim_file([made])), encoding="utf-8")
    check_claims(scale="mini", claims_file=path, folder=run / "results/mini", output=output)
    (row,) = csv.DictReader(output.read_text(encoding="utf-8").splitlines())
    return row


@pytest.fixture(autouse=True)
def files_of_claims_are_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_settings, "load", claim_settings.load.__wrapped__)


def tables(run: Path, system: str, value: Callable[[Grade], float]) -> dict[str, NDArray[np.float64]]:
    """Benchmark → problems × samples of what `value` makes of a grade."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in records.read(grades_of(run, system, "table"), records.GRADE).to_pylist():
        found.setdefault(row["benchmark"], {}).setdefault(row["problem_id"], []).append(value(row))
    return {name: np.array([of[problem] for problem in sorted(of)]) for name, of in found.items()}


def right(row: Grade) -> float:
    return 100.0 * row["paper"]


def change(run: Path, system: str, edit: Callable[[Grade], object]) -> None:
    """Change grades, and score and tabulate them anew."""
    path = grades_of(run, system, "table")
    rows, metadata = records.read(path, records.GRADE).to_pylist(), records.metadata(path)
    for row in rows:
        edit(row)
    records.write(path, rows, records.GRADE, metadata)
    score(scale="mini", system=system, suite="table", grades=path, output=scores_of(run, system, "table"))
    make_tables(run)


def test_a_gain_has_the_paired_error_in_one_benchmark_and_over_all(run: Path) -> None:
    ours, theirs = tables(run, "deepscaler-24k", right), tables(run, "mini-base", right)
    differences = {name: (ours[name] - theirs[name]).mean(axis=1) for name in ours}
    row = checked(run, {**CELL, "against": "mini-base"})
    assert float(row["standard_error"]) == pytest.approx(stats.sem(differences["mini-aime-2024"]), rel=0.01)
    row = checked(run, {**AVERAGE, "against": "mini-base"})
    expected = np.sqrt(sum(stats.sem(d) ** 2 for d in differences.values())) / BENCHMARKS
    assert float(row["standard_error"]) == pytest.approx(expected, rel=0.01)
    with (run / "results/mini/comparisons.csv").open(encoding="utf-8") as handle:
        compared = next(
            other for other in csv.DictReader(handle)
            if (other["system"], other["against"], other["benchmark"]) == ("deepscaler-24k", "mini-base", "average")
        )  # fmt: skip
    assert float(row["standard_error"]) == pytest.approx(float(compared["standard_error"]), rel=0.01)


def test_a_gain_in_one_benchmark_less_that_of_all_counts_its_problems_once(run: Path) -> None:
    ours, theirs = tables(run, "deepscaler-24k", right), tables(run, "deepscaler-8k", right)
    differences = {name: (ours[name] - theirs[name]).mean(axis=1) for name in ours}
    weights = {name: (name == "mini-aime-2024") - 1 / BENCHMARKS for name in ours}
    expected = np.sqrt(sum((weights[name] * stats.sem(d)) ** 2 for name, d in differences.items()))
    row = checked(run, {**CELL, "against": "deepscaler-8k", "minus": {**AVERAGE, "against": "deepscaler-8k"}})
    assert float(row["standard_error"]) == pytest.approx(expected, rel=0.01)


def test_a_drop_at_a_limit_has_the_error_of_both_terms_over_the_same_answers(run: Path) -> None:
    full = tables(run, "deepscaler-24k", right)["mini-aime-2024"]
    limited = tables(run, "deepscaler-24k", lambda row: right(row) * (row["tokens"] <= 70))["mini-aime-2024"]
    row = checked(run, {**CELL, "minus": {**CELL, "limit": 70}})
    assert float(row["measured"]) == pytest.approx((full - limited).mean(), rel=0.01)
    assert float(row["standard_error"]) == pytest.approx(stats.sem((full - limited).mean(axis=1)), rel=0.01)
    alone = checked(run, {**CELL, "limit": 70})
    assert float(alone["standard_error"]) == pytest.approx(stats.sem(limited.mean(axis=1)), rel=0.01)


def test_a_ratio_of_lengths_has_the_error_of_a_bootstrap_over_problems(run: Path) -> None:
    """Wrong over right answers of one system: of the same problems, some of which lack either."""
    lengths = tables(run, "mini-base", lambda row: row["tokens"])
    verdicts = tables(run, "mini-base", lambda row: row["paper"])
    random, drawn = np.random.default_rng(0), []
    for _ in range(3000):
        means = []
        for name, table in lengths.items():
            chosen = random.integers(len(table), size=len(table))
            tokens, hits = table[chosen], verdicts[name][chosen] > 0
            means.append([tokens[~hits].mean(), tokens[hits].mean()])
        wrong, correct = np.mean(means, axis=0)
        drawn.append(wrong / correct)
    row = checked(run, {**LENGTH, "over": {**LENGTH, "answers": "right"}})
    assert float(row["measured"]) == pytest.approx(np.mean(drawn), rel=0.01)
    assert float(row["standard_error"]) == pytest.approx(np.std(drawn) * (40 / 39) ** 0.5, rel=0.06)


def test_a_difference_of_truncated_shares_is_paired(run: Path) -> None:
    def cut(row: Grade) -> float:
        return 100.0 * (row["finish_reason"] == "length")

    ours, theirs = tables(run, "mini-base", cut), tables(run, "deepscaler-8k", cut)
    expected = np.sqrt(sum(stats.sem((ours[n] - theirs[n]).mean(axis=1)) ** 2 for n in ours)) / BENCHMARKS
    cell = {**LENGTH, "answers": "truncated"}
    row = checked(run, {**cell, "minus": {**cell, "system": "deepscaler-8k"}})
    assert float(row["standard_error"]) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("verdict", [True, False])
def test_all_right_or_all_wrong_is_not_certainty(run: Path, verdict: bool) -> None:
    for system in ("deepscaler-24k", "mini-base"):
        change(run, system, lambda row: row.update(paper=verdict, answer="7" if verdict else None))
    cell = checked(run, CELL)
    assert float(cell["standard_error"]) == pytest.approx(100 / 41, rel=0.01)
    gain = checked(run, {**CELL, "against": "mini-base"})
    assert (float(gain["measured"]), float(gain["standard_error"]) > 1) == (0, True)


def test_a_length_in_one_problem_alone_has_no_error_and_its_claim_no_verdict(run: Path) -> None:
    """Right answers to a single problem of one benchmark: how much others differ is not known."""

    def edit(row: Grade) -> None:
        if row["benchmark"] == "mini-aime-2024":
            row.update(paper=row["problem_id"] == "mini-aime-2024/0003")

    change(run, "mini-base", edit)
    measure = {**LENGTH, "answers": "right"}
    for errors, verdict in ((0, "met"), (1, "not run")):
        row = checked(run, measure, comparison="at_least", expected=0, errors=errors)
        assert (row["standard_error"], row["verdict"]) == ("", verdict)
        assert float(row["measured"]) > 0


def test_without_grades_a_claim_that_counts_in_errors_has_no_verdict(run: Path) -> None:
    claimed = {"comparison": "at_least", "expected": 0, "errors": 3}
    ratio = {**LENGTH, "over": {**LENGTH, "answers": "right"}}
    assert checked(run, ratio, **claimed)["verdict"] == "met"
    grades_of(run, "mini-base", "table").unlink()
    row = checked(run, ratio, **claimed)
    assert (row["verdict"], row["standard_error"]) == ("not run", "")
    assert float(row["measured"]) > 0


def test_a_difference_from_a_number_without_an_error_has_none(run: Path) -> None:
    """Cells whose error is not known are not added as if it were 0."""
    scores_of(run, "deepscaler-24k", "table").unlink()
    path = run / "results/mini/table.csv"
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    for row in rows:
        if row["system"] == "deepscaler-24k":
            row["aime_2024_standard_error"] = "-"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert checked(run, {**CELL, "against": "mini-base"})["standard_error"] == ""
