"""CONTRIBUTING.md's first change: what it shows is so, its test fails before, and passes after."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STEP = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    shutil.copytree(root / "workflow/deepscaler", tmp_path / "deepscaler", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def passes(copy: Path, test: str) -> bool:
    script = f"from deepscaler.reward.grade import grade_pair\n{test}\ntest_a_word_that_says_nothing()\n"
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert "AssertionError" in done.stderr or not done.returncode, done.stderr
    return done.returncode == 0


def test_the_first_change(root: Path, copy: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## A first change, step by step\n")[1].split("\n## ")[0]
    test = "\n".join(line.removeprefix("   ") for line in STEP.findall(section)[0].splitlines())
    assert not passes(copy, test)
    phrases = copy / "deepscaler/reward/strict/text/phrases.py"
    assert str(phrases.relative_to(copy)) in section
    phrases.write_text(phrases.read_text().replace("altogether exactly ", "altogether exactly clearly "))
    assert passes(copy, test)


def test_what_it_shows_of_the_grader(root: Path, tmp_path: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    pair = re.search(r"echo '(\{.*?\})'", text)
    shown = re.search(r'^\{"id": "1", "correct".*\}$', text, re.MULTILINE)
    assert pair
    assert shown
    (tmp_path / "pair.jsonl").write_text(pair[1] + "\n")
    command = ["grade", "--pairs", "pair.jsonl", "--mode", "strict", "--verdicts", "out.jsonl"]
    deepscaler = Path(sys.executable).with_name("deepscaler")
    subprocess.run([deepscaler, *command], cwd=tmp_path, check=True, capture_output=True)
    assert json.loads((tmp_path / "out.jsonl").read_text()) == json.loads(shown[0])
