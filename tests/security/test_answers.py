"""Answers written to stall the grader, in the places that call it: nothing takes more than its deadline."""

import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deepscaler.reward.grade import grade_pair
from deepscaler.reward.pool import GradingPool
from deepscaler.reward.pool.wire import Inbox
from deepscaler.reward.response import MAX_RESPONSE, answer_of, boxed_answer
from deepscaler.reward.stream import grade_responses_file
from deepscaler.reward.verdicts import MODES, Mode
from regex_growth import seconds_of

LIMIT = 0.5
"""Processor seconds; all of these take some hundredths, and took up to minutes when they were quadratic."""
BOXES = ["\\boxed{", "\\fbox {", "\\boxed", "\\boxed ", "{", "}", "\\{", "\\\\", "\\boxed{}", "\\boxed{}}"]
ANSWERS = [
    "`",
    "\\",
    " ",
    "\n",
    "[,",
    "1 ",
    ".0",
    "0.10",
    "{",
    "\\frac",
    "\\text{",
    "^\\circ",
    "( ",
    '"',
    "__",
    "\\\\a",
]


def is_quick(call: Callable[[], object]) -> bool:
    """Whether one of three tries takes less than LIMIT: on a busy computer a try takes several times as long."""
    return any(seconds_of(call, 10 * LIMIT) < LIMIT for _ in range(3))


@pytest.mark.parametrize("piece", BOXES)
@pytest.mark.parametrize("mode", MODES)
def test_a_box_is_found_in_one_pass(piece: str, mode: Mode) -> None:
    text = "<think></think>" + piece * (110_000 // len(piece))
    assert is_quick(lambda: answer_of(text, mode, "required"))


@pytest.mark.parametrize("piece", ANSWERS)
@pytest.mark.parametrize("mode", MODES)
def test_an_answer_is_read_in_one_pass(piece: str, mode: Mode) -> None:
    text = (piece * 4000)[:3999]
    for answer in (text, "1" + text, "[" + text, "x" + text + "x"):
        assert is_quick(lambda answer=answer: grade_pair(r"\frac{1}{2}", answer, mode))


@pytest.mark.parametrize(
    ("text", "paper", "strict"),
    [
        (r"\boxed{\left\{ x=1 \right.}", None, r"\left\{ x=1 \right."),
        (r"\boxed{\left. y \right\}}", r"\left. y \right\}"[:-1], r"\left. y \right\}"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}", r"\{1,2\}"),
        (r"\boxed{a \\{b}}", r"a \\{b}", r"a \\{b}"),
        (r"\boxed{1} and \boxed{\{2", None, None),
        (r"\boxed{1} and \boxed{2", None, None),
        (r"\boxed{\boxed{1}}", "1", "1"),
        (r"\boxed{\boxed{1}", "1", "1"),
    ],
)
def test_escaped_braces_close_no_box(text: str, paper: str | None, strict: str | None) -> None:
    """`paper` counts them, as upstream does."""
    assert boxed_answer(text, "paper") == paper
    assert boxed_answer(text, "strict") == strict


def test_the_answer_is_looked_for_in_the_guarded_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were it looked for here, the call would fail."""

    def forbidden(*_: object) -> None:
        raise AssertionError("an answer was looked for outside of the workers")

    for module in ("response.answer_of", "response.boxed_answer", "pool.fork_server.answer_of"):
        monkeypatch.setattr(f"deepscaler.reward.{module}", forbidden)
    with GradingPool(seconds=20) as pool:
        responses = [("4", f"</think>\\boxed{{{n}}}", mode, "prefilled") for n in (4, 5) for mode in MODES]
        verdicts = list(pool.grade_responses(responses))  # type: ignore[arg-type]
    assert [(verdict.correct, verdict.answer) for verdict in verdicts] == [(True, "4")] * 2 + [(False, "5")] * 2


def test_reading_a_response_ends_at_the_deadline() -> None:
    """Whatever is slow in it: here a box a character, which is as slow as it gets, and a deadline that is too short."""
    hostile = "</think>" + "\\boxed{}" * (MAX_RESPONSE // 8 - 2)
    with GradingPool(seconds=0.05) as pool:
        started = time.monotonic()
        responses = (hostile, "</think>\\boxed{4}")
        verdict, after = pool.grade_responses(("4", response, "strict", "prefilled") for response in responses)
        assert time.monotonic() - started < 30
    assert verdict.reason.startswith("killed")
    assert not verdict.well_formed
    assert after.correct


def test_training_goes_on_after_such_a_response(root: Path) -> None:
    path = root / "workflow" / "deepscaler" / "reward" / "openrlhf.py"
    spec = importlib.util.spec_from_file_location("hostile_reward", path)
    assert spec is not None
    assert spec.loader is not None
    reward = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reward)
    queries = ["p" + "</think>" + "\\boxed{" * 16_000, "p" + "[" * 100_000, "p</think>\\boxed{7}</s>"]
    found = reward.reward_func(queries, ["p"] * 3, ["[" * 100_000, "7", "7"])
    assert found["rewards"].tolist() == [0.0, 0.0, 1.0]
    assert is_quick(lambda: reward.response_of("p" + " " * 4000 + "x", "p"))
    assert is_quick(lambda: reward.response_of("p" + "</s> " * 800 + "x", "p"))


def test_a_line_of_any_length_or_depth_is_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepscaler.reward.stream.LONGEST_LINE", 10_000)
    lines = ["[" * 9000, "x" * 30_000, json.dumps({"id": 1, "golds": ["4"], "response": "</think>\\boxed{4}"})]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(lines), encoding="utf-8")
    with GradingPool(seconds=20) as pool:
        grade_responses_file(source, target, "paper", "prefilled", pool)
    rows = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert [row["correct"] for row in rows] == [False, False, True]
    assert rows[1]["reason"] == "line: too long"


def test_a_long_verdict_arrives_in_linear_time() -> None:
    inbox, piece = Inbox(), b"x" * 1000
    first = seconds_of(lambda: [inbox.feed(piece) for _ in range(1000)], 20)
    assert seconds_of(lambda: [inbox.feed(piece) for _ in range(20_000)], 20) < max(60 * first, LIMIT)
    assert Inbox().feed(b"[1]\n[2]\n[") == [[1], [2]]
