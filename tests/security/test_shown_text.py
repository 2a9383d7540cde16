"""Text that others wrote, where people read it: terminals, logs, tables for spreadsheets, the report."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from deepscaler.controller.console.results import results_table
from deepscaler.curation.review import write_review
from deepscaler.job_log import last_useful_line
from deepscaler.reporting.report.write_report import environment
from deepscaler.text import cell, printable
from deepscaler.training.run import writer_lock
from rich.console import Console

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnol\u2066\u200b\r\x9b31m"
FORBIDDEN = set("\x1b\x07\r\x9b\u202e\u2066\u200b")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, é ∑ 漢 █", "plain, é ∑ 漢 █"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\rb\x08\x7f\x9b", "a\\rb\\x08\\x7f\\x9b"),
        ("\u202eabc\u2069\u200b\ufeff", "\\u202eabc\\u2069\\u200b\\ufeff"),
        ("\ud800\U000e0041", "\\ud800\\U000e0041"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["grade", "--explain", "--mode", "strict", "--gold", HOSTILE, "--prediction", HOSTILE],
        ["grade", "--explain", "--mode", "paper", "--gold", "1", "--prediction", HOSTILE],
        ["grade", "--mode", HOSTILE],
        ["trace", HOSTILE],
        ["plan", "--scale", HOSTILE],
    ],
)
def test_verbs_write_it_out(root: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-c", "from deepscaler.cli import main; main()", *arguments]
    ran = subprocess.run(command, capture_output=True, cwd=root, timeout=100)
    said = (ran.stdout + ran.stderr).decode("utf-8", "replace")
    assert said.strip()
    assert not FORBIDDEN & set(said), said
    assert "Traceback" not in said


def test_the_line_of_a_failed_jobs_log(tmp_path: Path) -> None:
    (tmp_path / "job.log").write_text("ValueError: bad name \x1b]0;owned\x07\u202egnol\n", encoding="utf-8")
    assert last_useful_line(tmp_path / "job.log") == "ValueError: bad name \\u202egnol"


def test_the_table_that_a_run_ends_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Titles stand in settings that someone may have handed over: no markup, no link, no colour of theirs."""
    title = HOSTILE.replace("\r", "") + "[link=https://x]y[/link][/b]"
    (tmp_path / "table.csv").write_text(f"model,average,average_standard_error\n{title},1.0,0.1\n", encoding="utf-8")
    table = results_table("mini", tmp_path / "table.csv", 200, False)
    Console(width=200, color_system=None).print(table)
    said = capsys.readouterr().out
    assert "[link=https://x]y[/link][/b]" in said
    assert not FORBIDDEN & set(said)


def test_who_holds_a_run_folder(tmp_path: Path) -> None:
    (tmp_path / "writer.json").write_text(json.dumps({"host": HOSTILE, "pid": HOSTILE}), encoding="utf-8")
    assert not FORBIDDEN & set(writer_lock.describe_holder(tmp_path))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("@SUM(1)", "'@SUM(1)"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("\t=1", "'\t=1"),
        ("-2", "-2"),
        ("+0.5", "+0.5"),
        ("x = 1", "x = 1"),
        ("", ""),
        (-2.5, -2.5),
        (None, None),
    ],
)
def test_a_cell_is_no_formula(value: object, written: object) -> None:
    assert cell(value) == written


def test_tables_for_review(tmp_path: Path) -> None:
    write_review(tmp_path / "review.csv", [{"kind": "near", "score": -0.5, "answer": "-2", "problem": "=1+1"}])
    with (tmp_path / "review.csv").open(encoding="utf-8", newline="") as handle:
        [row] = csv.DictReader(handle)
    assert (row["score"], row["answer"], row["problem"]) == ("-0.5", "-2", "'=1+1")


def test_the_report_reorders_nothing() -> None:
    page = environment().from_string("<p>{{ text }}</p>{{ number }}").render(text="1 \u202e2<b>", number=3)
    assert page == "<p>1 \\u202e2&lt;b&gt;</p>3"
