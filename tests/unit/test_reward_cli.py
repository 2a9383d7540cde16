"""The verb `grade`."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from deepscaler.cli.reward import register
from deepscaler.errors import UserError
from typer.testing import CliRunner


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    return app


def run(app: typer.Typer, *arguments: object) -> Any:
    return CliRunner().invoke(app, ["grade", *map(str, arguments)])


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_pairs(app: typer.Typer, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(
        '{"id": "a", "gold": "1/2", "prediction": "0.5"}\n'
        '{"id": "b", "gold": ["3", "x+1"], "prediction": "1+x"}\n'
        "\n"
        "not json\n"
        '{"id": "c", "gold": "7"}\n'
        '{"id": 4, "gold": 142.0, "prediction": 142}\n'
        "[1, 2]\n",
        encoding="utf-8",
    )
    result = run(app, "--pairs", source, "--mode", "strict", "--verdicts", target)
    assert result.exit_code == 0, result.output
    verdicts = read(target)
    assert [verdict["id"] for verdict in verdicts] == ["a", "b", None, "c", 4, None]
    assert [verdict["correct"] for verdict in verdicts] == [True, True, False, False, True, False]
    assert all(verdict["reason"] for verdict in verdicts)


def test_responses(app: typer.Typer, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [
        {"id": 1, "golds": ["4"], "response": "so</think>\\boxed{4}"},
        {"id": 2, "golds": ["4"], "response": "\\boxed{4}"},
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert run(app, "--responses", source, "--mode", "paper", "--verdicts", target).exit_code == 0
    assert [verdict["correct"] for verdict in read(target)] == [True, False]
    assert run(app, "--responses", source, "--mode", "paper", "--think", "none", "--verdicts", target).exit_code == 0
    assert [verdict["correct"] for verdict in read(target)] == [True, True]


def test_explain(app: typer.Typer) -> None:
    result = run(app, "--explain", "--gold", r"\frac{1}{2}", "--prediction", "2/4", "--mode", "strict")
    assert "1/2 (exact)" in result.output
    assert "correct: scalar: equal" in result.output
    assert "wrong: fractions" in run(app, "--explain", "--gold", r"\frac{1}{2}", "--prediction", "2/4").output


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--pairs", "nowhere.jsonl", "--verdicts", "out.jsonl"],
        ["--pairs", "nowhere.jsonl"],
        ["--mode", "papr", "--pairs", "a", "--verdicts", "b"],
        ["--explain"],
    ],
)
def test_bad_input_is_a_user_error(app: typer.Typer, arguments: list[str]) -> None:
    assert isinstance(run(app, *arguments).exception, UserError)
