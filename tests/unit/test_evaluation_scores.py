"""What the verb `score` writes, from Parquet, against independent computations: scipy, and plain counting."""

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_run
from deepscaler import records, settings
from deepscaler.errors import UserError
from deepscaler.evaluation.score import score
from deepscaler.settings.benchmarks import Benchmark
from deepscaler.settings.scale import Scale
from scipy import stats

MINI, BENCHMARKS = settings.load_scale("mini"), settings.benchmarks()
SUITE = MINI.evaluation.suites["table"]
Answer = tuple[str | None, bool]
"""What was answered, and whether it is right."""
Scored = Callable[..., dict[str, Any]]


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scored:
    """Scores a set of answers, a list of samples a problem, the same in every benchmark."""

    def run(answers: list[list[Answer]], size: int | None = None, samples: int | None = None) -> dict[str, Any]:
        monkeypatch.setattr(settings, "load_scale", lambda _: scale_of(samples or len(answers[0])))
        monkeypatch.setattr(settings, "benchmarks", lambda: benchmarks_of(size or len(answers)))
        grades, output = tmp_path / "grades.parquet", tmp_path / "scores.json"
        records.write(grades, rows(answers), records.GRADE, synthetic_run.METADATA)
        score(scale="mini", system="mini-base", suite="table", grades=grades, output=output)
        found: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
        return found

    return run


def scale_of(samples: int) -> Scale:
    """The miniature with so many samples a problem."""
    return MINI.model_copy(update={"evaluation": MINI.evaluation.model_copy(update={"samples": samples})})


def benchmarks_of(size: int) -> dict[str, Benchmark]:
    """The benchmarks with so many problems each."""
    return {name: entry.model_copy(update={"size": size}) for name, entry in BENCHMARKS.items()}


def rows(answers: list[list[Answer]]) -> Iterator[dict[str, Any]]:
    """Rows of grades, in an order that mixes problems and samples."""
    for benchmark in SUITE:
        made = [
            {"system": "mini-base", "benchmark": benchmark, "problem_id": f"{benchmark}/{problem:04d}",
             "sample": sample, "answer": answer, "well_formed": answer is not None, "paper": right, "paper_reason": "",
             "strict": right, "strict_reason": "", "tokens": 10 * problem + sample + 1,
             "finish_reason": "stop" if answer is not None else "length"}
            for problem, samples in enumerate(answers)
            for sample, (answer, right) in enumerate(samples)
        ]  # fmt: skip
        yield from (made[i] for i in np.random.default_rng(0).permutation(len(made)))


def some_answers(problems: int, samples: int, seed: int = 1) -> list[list[Answer]]:
    """Right answers are "7"; wrong ones one of three texts, and often missing."""
    random = np.random.default_rng(seed)
    chances = random.beta(0.5, 0.9, size=problems)
    wrong: list[str | None] = ["8", " 9", None, None]
    return [
        [("7", True) if random.random() < chance else (wrong[random.integers(4)], False) for _ in range(samples)]
        for chance in chances
    ]


def shares_of(answers: list[list[Answer]]) -> list[list[float]]:
    return [[float(right) for _, right in problem] for problem in answers]


def majority_of(answers: list[list[Answer]]) -> float:
    """The documents' rule, counted by hand: missing answers have no vote, equally frequent ones equal chances."""
    total = Fraction(0)
    for problem in answers:
        given = [text.strip() for text, _ in problem if text is not None]
        most = [text for text in set(given) if given.count(text) == max(map(given.count, given))]
        total += Fraction(most.count("7"), len(most)) if most else 0
    return float(100 * total / len(answers))


@pytest.mark.parametrize(("problems", "samples"), [(40, 16), (30, 4), (7, 2)])
def test_scores_with_missing_answers_are_those_of_scipy(scored: Scored, problems: int, samples: int) -> None:
    answers = some_answers(problems, samples)
    assert any(text is None for problem in answers for text, _ in problem)
    table = np.array(shares_of(answers))
    means = table.mean(axis=1)
    found = scored(answers)
    entry = found["benchmarks"]["mini-math-500"]
    assert entry["pass_at_1"] == pytest.approx(100 * means.mean(), abs=1e-5)
    total, within = stats.sem(means), np.sqrt((stats.sem(table, axis=1) ** 2).sum()) / problems
    assert entry["standard_error"] == pytest.approx(100 * total, abs=1e-5)
    assert entry["standard_error_within"] == pytest.approx(100 * min(within, total), abs=1e-5)
    assert entry["standard_error_between"] ** 2 == pytest.approx(1e4 * max(0, total**2 - within**2), abs=1e-3)
    assert entry["majority"] == pytest.approx(majority_of(answers), abs=1e-5)
    for k, value in entry["pass_at_k"].items():
        none_right = stats.hypergeom.pmf(0, samples, table.sum(axis=1).astype(int), int(k))
        assert value == pytest.approx(100 * (1 - none_right).mean(), abs=1e-5)
    expected = stats.bootstrap((means,), np.mean, method="percentile", random_state=0).confidence_interval
    assert entry["interval"] == pytest.approx([100 * expected.low, 100 * expected.high], abs=400 / problems / samples)
    missing = sum(text is None for problem in answers for text, _ in problem)
    assert entry["missing_answer"] == entry["malformed"] == entry["truncated"]
    assert entry["missing_answer"] == pytest.approx(100 * missing / table.size, abs=1e-5)
    assert entry["strict"]["majority"] == entry["majority"]
    average = found["average"]
    assert average["standard_error"] == pytest.approx(entry["standard_error"] / 5**0.5, abs=1e-5)
    assert average["standard_error_within"] == pytest.approx(entry["standard_error_within"] / 5**0.5, abs=1e-5)


def test_missing_answers_do_not_vote(scored: Scored) -> None:
    """Right answers in the minority of the samples, in the majority of the answers; and no answer at all."""
    problem: list[Answer] = [("7", True), ("7", True), (None, False), (None, False), (None, False), ("nan", False)]
    entry = scored([problem, [(None, False)] * 6])["benchmarks"]["mini-aime-2024"]
    assert (entry["majority"], entry["missing_answer"]) == (50, 75)


def test_one_sample_says_nothing_of_the_variation_within_problems(scored: Scored) -> None:
    answers = some_answers(30, 1)
    found = scored(answers)
    entry = found["benchmarks"]["mini-aime-2024"]
    assert (entry["standard_error_within"], entry["standard_error_between"]) == (None, None)
    assert entry["standard_error"] == pytest.approx(100 * stats.sem(np.array(shares_of(answers))[:, 0]), abs=1e-5)
    assert found["average"]["standard_error"] > 0
    assert found["average"]["standard_error_within"] is None


def test_one_problem_says_nothing_of_others(scored: Scored, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [[("7", True)] * 5 + [(None, False)] * 11]
    found = scored(answers)
    for entry in (found["benchmarks"]["mini-aime-2024"], found["average"]):
        assert (entry["standard_error"], entry["interval"]) == (None, None)
    within = found["benchmarks"]["mini-aime-2024"]["standard_error_within"]
    assert within == pytest.approx(100 * stats.sem(shares_of(answers)[0]), abs=1e-5)
    assert "mini-aime-2024: 31.2\n" in capsys.readouterr().out


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("problems", [30, 272])
def test_all_right_or_all_wrong_is_not_certainty(scored: Scored, right: bool, problems: int) -> None:
    """The interval is about the exact one of Clopper and Pearson, and the errors are not 0."""
    entry = scored([[("7", right)] * 16] * problems)["benchmarks"]["mini-aime-2024"]
    exact = stats.binomtest(problems * right, problems).proportion_ci(0.90, method="exact")
    low, high = (100 * bound for bound in exact)
    assert entry["interval"] == pytest.approx([low, high], abs=0.35 * (high - low))
    assert entry["interval"][right] == entry["pass_at_1"] == 100 * right
    assert entry["standard_error"] == pytest.approx(100 / (problems + 1), abs=1e-5)
    assert entry["standard_error_within"] == pytest.approx(100 / (16 * problems + 1), abs=1e-5)
    assert entry["majority"] == 100 * right


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("a problem is gone", "grades of 39 problems, the benchmark has 40"),
        ("a sample is elsewhere", "mini-aime-2024/0000: 15 samples, expected 16"),
        ("a sample is gone", "mini-aime-2024/0003: 15 samples, expected 16"),
        ("a sample is there twice", "mini-aime-2024/0005: 17 samples, expected 16"),
        ("all samples are gone but one", "mini-aime-2024/0000: 1 samples, expected 16"),
    ],
)
def test_counts_that_are_not_those_of_the_settings_are_refused(scored: Scored, change: str, message: str) -> None:
    answers = some_answers(40, 16)
    match change:
        case "a problem is gone":
            answers.pop()
        case "a sample is elsewhere":
            answers[1].append(answers[0].pop())
        case "a sample is gone":
            answers[3].pop()
        case "a sample is there twice":
            answers[5].append(("7", True))
        case "all samples are gone but one":
            answers = [problem[:1] for problem in answers]
    with pytest.raises(UserError, match=message) as raised:
        scored(answers, size=40, samples=16)
    assert "\n" not in str(raised.value).strip()
