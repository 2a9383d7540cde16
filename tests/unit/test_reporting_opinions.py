"""Second opinions: who is asked, how untrusted answers are kept from harm, what the tables say."""

import csv
import importlib.util
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from deepscaler.errors import UserError
from deepscaler.reporting.opinions import ask, figure, table
from deepscaler.reporting.opinions.ask import WITHHELD, Limits, opinion_of
from deepscaler.reporting.opinions.completions import Completion, completions
from deepscaler.reporting.opinions.harnesses import HARNESSES, SCRIPTS, TITLES, Harness, chosen
from deepscaler.reporting.opinions.opinions import opinions
from deepscaler.reporting.opinions.table import Opinions
from deepscaler.reward.verdicts import Verdict

OURS = {harness.name: harness for harness in HARNESSES if harness.environment is None}
LIMITS = Limits(seconds=60.0, memory_mb=1024)


def completion(response: str, *golds: str, sample: int = 0, problem: str = "mini-math-500/0000") -> Completion:
    return Completion(
        system="mini-base",
        benchmark="mini-math-500",
        problem_id=problem,
        sample=sample,
        problem="What is it?",
        golds=golds or ("1/2",),
        response=response,
        answer=response,
        own={"paper": False, "strict": False},
    )


@pytest.fixture(scope="module")
def grading() -> ModuleType:
    """scripts/grade.py, which harnesses' environments run as a program."""
    spec = importlib.util.spec_from_file_location("grade_of_opinions", SCRIPTS / "grade.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_harness_grades_by_its_own_function(name: str, tmp_path: Path) -> None:
    asked = [
        completion(r"So \boxed{0.5}"),
        completion(r"So \boxed{\frac{1}{2}}"),
        completion(r"So \boxed{3}"),
        completion(""),
        completion(r"<think>\boxed{3}</think> \boxed{7}", "8", "7"),
    ]
    found = opinion_of(OURS[name], asked, tmp_path, LIMITS)
    assert [verdict.correct for verdict in found][1:] == [True, False, False, True]


def test_kept_verdicts_are_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [completion(r"\boxed{0.5}"), completion(r"\boxed{0.5}", sample=1)]
    first = opinion_of(OURS["math-verify"], asked, tmp_path, LIMITS)
    lines = (tmp_path / "math-verify.jsonl").read_text().splitlines()
    assert len(lines) == 1, "equal questions are one"
    (tmp_path / "math-verify.jsonl").write_text(lines[0] + '\n{"key": "torn')

    def nobody(*_: Any) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(ask, "answers", nobody)
    assert opinion_of(OURS["math-verify"], asked, tmp_path, LIMITS) == first


def test_what_would_be_run_is_not_shown(tmp_path: Path) -> None:
    """OpenRLHF's function hands an answer's text to sympy, which runs it as Python."""
    canary = tmp_path / "canary"
    asked = [
        completion(rf"\boxed{{__import__('os').system('touch {canary}')}}", "x+1"),
        completion(r"\boxed{'\151'.z}", "x+1"),
        completion(r"\boxed{9**9**9**9}", "x+1"),
        completion(r"\boxed{1+x}", "x+1"),
    ]
    found = opinion_of(OURS["openrlhf"], asked, tmp_path, LIMITS)
    assert [verdict.reason for verdict in found] == ["", WITHHELD, WITHHELD, ""]
    assert [verdict.correct for verdict in found] == [False, False, False, True]
    assert not canary.exists()


def test_a_late_or_dying_process_costs_one_verdict(grading: ModuleType) -> None:
    def function(gold: str, completion: str) -> bool:
        if completion == "hang":
            time.sleep(600)
        if completion == "die":
            os._exit(1)
        if completion == "much":
            return bool(bytearray(1 << 40))
        return completion == gold

    questions = [{"gold": "1", "completion": text} for text in ("1", "hang", "1", "die", "much", "2", "1")]
    found = list(grading.graded(function, questions, 1.0, 256))
    assert [verdict["correct"] for verdict in found] == [True, False, True, False, False, False, True]
    assert [verdict["reason"] for verdict in found] == [
        *("", "stopped: over 1 s", "", "stopped: the process died", "error: MemoryError", "", "")
    ]


def test_grading_reaches_nothing_outside(grading: ModuleType, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    deeds = {
        "write": lambda: victim.write_text("lost"),
        "create": lambda: (tmp_path / "new").touch(),
        "remove": victim.unlink,
        "rename": lambda: victim.rename(tmp_path / "moved"),
        "program": lambda: subprocess.run(["true"], check=False),
        "shell": lambda: os.system("true"),
        "connect": lambda: socket.create_connection(("127.0.0.1", 9)),
        "kill": lambda: os.kill(os.getppid(), 9),
    }

    def function(gold: str, completion: str) -> bool:
        deeds[completion]()
        return True

    found = list(grading.graded(function, [{"gold": "", "completion": name} for name in deeds], 10.0, 256))
    assert [verdict["reason"] for verdict in found] == ["error: PermissionError"] * len(deeds)
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]
    assert victim.read_text() == "kept"


def test_the_tables_say_who_differs() -> None:
    asked = [completion(text, "1/2", sample=number) for number, text in enumerate(("0.5", "=1+1", "1/2", "3"))]
    said = {
        "paper": [False, False, True, False],
        "strict": [True, False, True, False],
        "math-verify": [True, True, True, False],
        "lm-eval-exact-match": [False] * 4,
    }
    every = Opinions(asked, {name: [Verdict(right, "") for right in verdicts] for name, verdicts in said.items()})
    [row] = table.rows(every)
    assert (row["paper"], row["strict"], row["math-verify"]) == ("25.0000", "50.0000", "75.0000")
    assert (row["lowest"], row["highest"], row["range"]) == ("25.0000", "75.0000", "50.0000"), "without exact match"
    assert set(row) == set(table.columns(every))
    ways = [(row["right_by"], row["wrong_by"], row["answer"]) for row in table.disagreements(every)]
    assert ways == [("math-verify", "paper strict", "'=1+1"), ("strict math-verify", "paper", "0.5")]


def test_every_opinion_has_a_mark_and_a_function(grading: ModuleType) -> None:
    sys.path.insert(0, str(SCRIPTS))
    try:
        from functions import FUNCTIONS
    finally:
        sys.path.remove(str(SCRIPTS))
    assert set(FUNCTIONS) == {harness.name for harness in HARNESSES}
    assert set(figure.MARKERS) == set(TITLES)


def test_an_unknown_harness_and_one_without_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'lighteval'"):
        chosen(["lightevla"])
    monkeypatch.setattr(Harness, "python", tmp_path / "python")
    with pytest.raises(UserError, match="make setup-harnesses"):
        chosen(["verl"])


def test_a_scale_without_samples_is_refused(run: Path) -> None:
    with pytest.raises(UserError, match="no graded samples"):
        completions("mini", run / "nowhere", None)


def test_a_run_gets_its_opinions(run: Path) -> None:
    results, work = run / "results/mini", run / "work/mini"
    opinions(
        scale="mini",
        results=results,
        work=work,
        names=["math-verify"],
        samples=1,
        limits=LIMITS,
        exports=False,
    )
    with (results / "opinions/opinions.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 20, "four systems on five benchmarks"
    assert all(0 <= float(row["lowest"]) <= float(row["strict"]) <= float(row["highest"]) <= 100 for row in rows)
    assert any(float(row["range"]) > 0 for row in rows) == (
        (results / "opinions/disagreements.csv").read_text().count("\n") > 1
    )
    for name in ("opinions.png", "opinions.pdf"):
        assert (results / "opinions" / name).stat().st_size > 10_000
