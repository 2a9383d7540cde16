"""Golds that are wrong: what is accepted instead, by whom, and where both figures stand."""

import json
from pathlib import Path

import pytest
from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.evaluation import grade_samples, markdown, score
from deepscaler.evaluation.table_rows import Row
from deepscaler.reward.grade import grade_pair
from deepscaler.reward.pool import GradingPool
from deepscaler.reward.response import boxed_answer
from deepscaler.reward.strict.judge import unreadable
from deepscaler.settings.corrections import Correction, corrected_answers, digest

PROBLEM, GOLDS = "What is half of ten?", ["10"]
FIVE = Correction(problem=digest(PROBLEM), gold=digest(json.dumps(GOLDS)), answers=["5"], reason="the whole, not half")


def test_a_correction_is_for_one_problem_with_one_gold() -> None:
    assert corrected_answers([FIVE], PROBLEM, GOLDS) == ["5"]
    assert corrected_answers([FIVE], PROBLEM, ["5"]) is None  # another copy of the benchmark may be right already
    assert corrected_answers([FIVE], PROBLEM + " ", GOLDS) is None
    assert corrected_answers([], PROBLEM, GOLDS) is None


def test_every_correction_can_be_graded_and_stands_once() -> None:
    for name, entries in settings.corrections().items():
        assert name in settings.benchmarks()
        assert len({entry.problem for entry in entries}) == len(entries)
        for entry in entries:
            assert entry.reason
            assert [unreadable(answer) for answer in entry.answers] == [None] * len(entry.answers)


def test_the_corrections_are_what_the_solutions_say(shared: Path) -> None:
    """Of the files that the paper was evaluated on: each entry has its problem, its answer is the solution's box."""
    files = {"minerva-math": "minerva.json", "olympiad-bench": "olympiad_bench.json"}
    for name, entries in settings.corrections().items():
        rows = json.loads((shared / "data" / "benchmarks" / files[name]).read_text(encoding="utf-8"))
        found = [(row, corrected_answers(entries, row["problem"], row["answer"])) for row in rows]
        assert sum(answers is not None for _, answers in found) == len(entries)
        for row, answers in found:
            box = boxed_answer(row["solution"], "strict") if isinstance(row["solution"], str) else None
            if answers is not None and box is not None:
                assert grade_pair(answers, box, "strict").correct


def test_only_strict_is_graded_by_corrections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "corrections", lambda: {"made-up": [FIVE]})
    problems = {
        f"made-up/{index:04d}": {"benchmark": "made-up", "problem": text, "answers": answers}
        for index, (text, answers) in enumerate([(PROBLEM, GOLDS), ("What is two?", ["2"])])
    }
    completions = [
        {
            "system": "s", "benchmark": "made-up", "problem_id": name, "sample": sample, "tokens": 1,
            "finish_reason": "stop", "response": f"</think>\\boxed{{{answer}}}",
        }
        for name in problems
        for sample, answer in enumerate((5, 10))
    ]  # fmt: skip
    with GradingPool(1, seconds=20) as pool:
        assert grade_samples.corrected_verdicts(pool, completions, problems, "prefilled") == {"made-up/0000": [1, 0]}
        rows = list(grade_samples.graded(pool, completions, problems, "prefilled"))
    assert [(row["paper"], row["strict"]) for row in rows] == [(False, False), (True, True)] + [(False, False)] * 2


def row_of(identifier: str, sample: int, right: bool) -> dict[str, object]:
    return {"problem_id": identifier, "sample": sample, "strict": right}


def test_scores_have_both_figures() -> None:
    problems = [[row_of(f"b/{index}", sample, index == 0) for sample in range(2)] for index in range(2)]
    assert score.corrected_scores(problems, {}) == {}
    assert score.corrected_scores(problems, {"c/0": [1, 1]}) == {}
    found = score.corrected_scores(problems, {"b/1": [1, 0]})["corrected"]
    assert (found["problems"], found["pass_at_1"]) == (1, 75.0)
    with pytest.raises(UserError, match="other samples"):
        score.corrected_scores(problems, {"b/1": [1]})


@pytest.mark.parametrize("grader", ["paper", "strict"])
def test_the_table_shows_both(grader: str) -> None:
    entry = {
        "column": "minerva_math",
        "pass_at_1": 40.0,
        ("strict" if grader == "paper" else "paper"): {"pass_at_1": 44.0},
        "corrected": {"pass_at_1": 50.0},
    }
    system = settings.systems()["deepscaler-1.5b-preview"]
    row = Row("s", system, {"grader": grader, "benchmarks": {"minerva-math": entry}}, ("minerva_math",))
    assert markdown.corrected(row, "minerva_math") == ("44.0 → 50.0" if grader == "paper" else "40.0 → 50.0")
    assert markdown.corrected(row, "math_500") == "-"
