"""What the verb `tabulate` writes of differences, from Parquet of grades, against scipy."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from deepscaler import records, settings
from deepscaler.evaluation.score import score
from deepscaler.evaluation.tabulate import tabulate
from numpy.typing import NDArray
from scipy import stats
from synthetic_run import METADATA

MINI, BENCHMARKS = settings.load_scale("mini"), settings.benchmarks()
SUITE = MINI.evaluation.suites["table"]
Verdicts = NDArray[np.bool_]
"""Problems × samples."""
Compared = Callable[[Verdicts, Verdicts], dict[str, dict[str, str]]]


@pytest.fixture
def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compared:
    """The rows of comparisons.csv by benchmark, for a system with `first` and a base with `second` in all of them."""

    def run(first: Verdicts, second: Verdicts) -> dict[str, dict[str, str]]:
        problems, samples = first.shape
        systems = ["mini-base", "deepscaler-8k"]
        evaluation = MINI.evaluation.model_copy(update={"samples": samples, "systems": systems})
        scale = MINI.model_copy(update={"evaluation": evaluation})
        sizes = {name: entry.model_copy(update={"size": problems}) for name, entry in BENCHMARKS.items()}
        monkeypatch.setattr(settings, "load_scale", lambda _: scale)
        monkeypatch.setattr(settings, "benchmarks", lambda: sizes)
        for system, verdicts in zip(systems, (second, first), strict=True):
            grades = tmp_path / f"{system}.parquet"
            records.write(grades, rows(system, verdicts), records.GRADE, METADATA)
            score(scale="mini", system=system, suite="table", grades=grades, output=tmp_path / f"{system}.json")
        tables = {name: tmp_path / f"{name}.csv" for name in ("table", "tokens", "agreement", "comparisons", "curve")}
        files = {
            "scores": [tmp_path / f"{system}.json" for system in systems],
            "grades": [tmp_path / f"{system}.parquet" for system in systems],
            "curve_scores": [],
        }
        tabulate(scale="mini", markdown=tmp_path / "table.md", **files, **tables)
        with tables["comparisons"].open(encoding="utf-8") as handle:
            return {row["benchmark"]: row for row in csv.DictReader(handle)}

    return run


def rows(system: str, verdicts: Verdicts) -> list[dict[str, object]]:
    """Grades; wrong answers are missing."""
    return [
        {"system": system, "benchmark": benchmark, "problem_id": f"{benchmark}/{problem:04d}", "sample": sample,
         "answer": "7" if verdict else None, "well_formed": True, "paper": verdict, "paper_reason": "",
         "strict": verdict, "strict_reason": "", "tokens": 10, "finish_reason": "stop"}
        for benchmark in SUITE
        for problem, samples in enumerate(verdicts.tolist())
        for sample, verdict in enumerate(samples)
    ]  # fmt: skip


def drawn(problems: int, samples: int, gain: float) -> tuple[Verdicts, Verdicts]:
    random = np.random.default_rng(3)
    chances = random.beta(0.5, 0.9, size=(problems, 1))
    better = np.clip(chances + gain, 0, 1)
    return random.random((problems, samples)) < better, random.random((problems, samples)) < chances


@pytest.mark.parametrize(("problems", "samples"), [(40, 16), (30, 1)])
def test_a_difference_is_that_of_scipy(compared: Compared, problems: int, samples: int) -> None:
    first, second = drawn(problems, samples, 0.12)
    differences = 100 * (first.mean(axis=1) - second.mean(axis=1))
    found = compared(first, second)
    row = {key: float(found["aime_2024"][key]) for key in ("difference", "standard_error", "low", "high")}
    assert row["difference"] == pytest.approx(differences.mean(), abs=1e-3)
    assert row["standard_error"] == pytest.approx(stats.sem(differences), abs=1e-3)
    interval = stats.bootstrap((differences,), np.mean, method="percentile", random_state=0).confidence_interval
    assert [row["low"], row["high"]] == pytest.approx([interval.low, interval.high], abs=0.2 * row["standard_error"])
    exchanged = stats.permutation_test(
        (100 * first.mean(axis=1), 100 * second.mean(axis=1)),
        lambda one, other, axis: (one - other).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        random_state=0,
    )
    assert float(found["aime_2024"]["p_permutation"]) == pytest.approx(exchanged.pvalue, abs=0.02)
    average = float(found["average"]["standard_error"])
    assert average == pytest.approx(stats.sem(differences) / 5**0.5, abs=1e-3)


def test_one_problem_says_nothing_of_others(compared: Compared) -> None:
    found = compared(np.array([[True, True, False]]), np.array([[True, False, False]]))
    for row in (found["aime_2024"], found["average"]):
        assert float(row["difference"]) == pytest.approx(100 / 3, abs=1e-3)
        assert (row["standard_error"], row["low"], row["high"]) == ("-", "-", "-")


@pytest.mark.parametrize("right", [True, False])
def test_two_systems_that_are_all_right_or_all_wrong_are_not_surely_equal(compared: Compared, right: bool) -> None:
    same = np.full((30, 16), right)
    row = compared(same, same)["aime_2024"]
    assert (float(row["difference"]), row["p_bootstrap"], row["p_permutation"]) == (0, "1.000000", "1.000000")
    assert 0 < float(row["standard_error"]) < 10
    assert float(row["low"]) < 0 < float(row["high"])


def test_all_right_against_all_wrong_is_a_difference(compared: Compared) -> None:
    row = compared(np.full((30, 16), True), np.full((30, 16), False))["aime_2024"]
    assert float(row["difference"]) == float(row["high"]) == 100
    assert float(row["low"]) < 100
    assert float(row["p_bootstrap"]) < 0.001
    assert float(row["p_permutation"]) < 0.001
