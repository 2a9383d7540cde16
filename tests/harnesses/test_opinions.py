"""The harnesses' own functions in their own environments, and the logs that are written for them."""

import json
import subprocess
from pathlib import Path

import pytest
from deepscaler.reporting.opinions import export
from deepscaler.reporting.opinions.ask import Limits, opinion_of
from deepscaler.reporting.opinions.completions import completions
from deepscaler.reporting.opinions.harnesses import HARNESSES, Harness
from deepscaler.reporting.opinions.table import Opinions
from deepscaler.reward.verdicts import MODES, Verdict

LIMITS = Limits(seconds=120.0, memory_mb=2048)
ASKED = {
    "12 | \\boxed{12}": {harness.name for harness in HARNESSES if harness.boxed},
    "12 | \\boxed{13}": set(),
    "12 | I do not know": set(),
    # the same number or term, written otherwise
    "\\frac{1}{2} | \\boxed{0.5}": {harness.name for harness in HARNESSES if harness.boxed},
    "x+1 | \\boxed{1+x}": {"math-verify", "lm-eval", "lighteval", "inspect-ai", "openrlhf"},
    # without a box, but in the words that minerva_math asks for
    "(1,2) | Final Answer: The final answer is $(1,2)$. I hope it is correct.": {
        *("math-verify", "lm-eval", "lm-eval-exact-match", "lighteval", "inspect-ai"),
    },
    # nothing may come of it
    "12 | \\boxed{__import__('os').system('touch canary')}": set(),
}
"""Gold and completion → who says that it is right."""


def ready(harness: Harness) -> Harness:
    if not harness.ready:
        pytest.skip(f"no environment of {harness.environment} here: make setup-harnesses")
    return harness


@pytest.fixture
def opinions(run: Path) -> Opinions:
    """Of the made-up run: this project's own verdicts, on one sample a problem."""
    asked = completions("mini", run / "work/mini", 1)
    return Opinions(asked, {mode: [Verdict(row.own[mode], "") for row in asked] for mode in MODES})


@pytest.mark.parametrize("harness", HARNESSES, ids=lambda harness: harness.name)
def test_each_is_asked_by_its_own_function(harness: Harness, run: Path, tmp_path: Path) -> None:
    [row] = completions("mini", run / "work/mini", 1)[:1]
    asked = []
    for question in ASKED:
        gold, response = question.split(" | ")
        asked.append(type(row)(**{**vars(row), "golds": (gold,), "response": response}))
    found = opinion_of(ready(harness), asked, tmp_path, LIMITS)
    right = {question for question, verdict in zip(ASKED, found, strict=True) if verdict.correct}
    assert right == {question for question, names in ASKED.items() if harness.name in names}
    assert not [verdict.reason for verdict in found if verdict.reason.startswith(("stopped", "error"))]


def test_inspect_reads_the_logs(opinions: Opinions, tmp_path: Path) -> None:
    """By Inspect's own command, which its viewer's server uses, too."""
    python = ready(next(harness for harness in HARNESSES if harness.name == "inspect-ai")).python
    export.inspect_logs("mini", opinions, tmp_path / "inspect")
    logs = sorted((tmp_path / "inspect").glob("*.eval"))
    assert len(logs) == 20, "four systems on five benchmarks"
    done = subprocess.run(
        [python.with_name("inspect"), "log", "dump", logs[0]], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    log = json.loads(done.stdout)
    assert log["status"] == "success"
    cell = [row for row in opinions.completions if logs[0].stem == f"{row.system}-{row.benchmark}"]
    assert [sample["id"] for sample in log["samples"]] == [row.problem_id for row in cell]
    assert [sample["scores"]["strict"]["value"] == "C" for sample in log["samples"]] == [r.own["strict"] for r in cell]
    assert {score["name"] for score in log["results"]["scores"]} == set(MODES)


def test_lm_eval_finds_the_samples(opinions: Opinions, tmp_path: Path) -> None:
    ready(next(harness for harness in HARNESSES if harness.name == "lm-eval"))
    export.lm_eval_samples("mini", opinions, tmp_path / "lm-eval")
    files = sorted((tmp_path / "lm-eval").rglob("samples_*.jsonl"))
    rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    assert len(files) == 20
    assert len(rows) == len(opinions.completions)
    right = sum(row["strict"] for row in rows)
    assert right == sum(row.own["strict"] for row in opinions.completions)
    assert len(list((tmp_path / "lm-eval").rglob("results_*.json"))) == 4, "one a system"
