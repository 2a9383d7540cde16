"""Durations, and the line of a log that says what went wrong: the first cause, not the noise that follows it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deepscaler.job_log import last_useful_line
from deepscaler.text import duration

RAY = """\
\x1b[36m(PPOTrainer pid=3062)\x1b[0m INFO ppo_trainer.py:551] ✨ Global step 4: {'kl': 0.1}
\x1b[36m(PolicyModelActor pid=2857)\x1b[0m Train epoch [1/1]: 0%|          | 0/2\r 50%|█████     | 1/2
Traceback (most recent call last):
  File "train_ppo_ray.py", line 180, in train
    ray.get(ppo_trainer.fit.remote())
ray.exceptions.RayTaskError(OSError): \x1b[36mray::PPOTrainer.fit()\x1b[39m (pid=3062, ip=10.0.0.1)
  File "torch/serialization.py", line 850, in save
RuntimeError: [enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0
"""


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "driver.log").write_text(text)
    return tmp_path / "driver.log"


def test_the_cause_is_named_not_its_wrapper(tmp_path: Path) -> None:
    assert last_useful_line(write(tmp_path, RAY)).startswith("RuntimeError: [enforce fail")


def test_the_engines_root_cause_comes_before_its_consequence(tmp_path: Path) -> None:
    log = (
        "(RolloutRayActor pid=7) (EngineCore pid=9) ValueError: max_model_len (99999) is greater than 1024\n"
        "(RolloutRayActor pid=7) RuntimeError: Engine core initialization failed. See root cause above. Failed: {}\n"
        "ray.exceptions.ActorDiedError: The actor died because of an error raised in its creation task\n"
    )
    assert last_useful_line(write(tmp_path, log)) == "ValueError: max_model_len (99999) is greater than 1024"


def test_an_exception_before_a_finished_step_is_not_the_cause(tmp_path: Path) -> None:
    log = "ValueError: old story\n✨ Global step 5: {}\nray.exceptions.ActorDiedError: The actor died unexpectedly\n"
    assert last_useful_line(write(tmp_path, log)).startswith("ray.exceptions.ActorDiedError")


def test_an_error_of_our_own_commands_counts_more_than_exceptions_before_it(tmp_path: Path) -> None:
    log = "ValueError: tried again\ndeepscaler: no such model [x.json]. Hint: fetch it\n"
    assert last_useful_line(write(tmp_path, log)) == "deepscaler: no such model [x.json]. Hint: fetch it"


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("", "its log is empty"),
        ("one\ntwo\n\n", "two"),
        ("killed\nsampling:  40%|####      | 4/10\n", "killed"),
        ('Fatal Python error: Bus error\nbus error\n  File "x.py", line 3 in f\nExtension modules: a\n', "bus error"),
        ("sampling:  40%|####      | 4/10\n", "sampling:  40%|####      | 4/10"),
    ],
)
def test_without_an_exception_the_last_line_that_is_not_noise_is_taken(tmp_path: Path, log: str, line: str) -> None:
    assert last_useful_line(write(tmp_path, log)) == line


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert last_useful_line(tmp_path / "none.log") == "its log is empty"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (float("nan"), "unknown"),
        (6.6, "7 s"),
        (307, "5 min 07 s"),
        (11_100, "3 h 05 min"),
        (183_600, "2 d 3 h"),
    ],
)
def test_durations_have_two_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def boxed(*arguments: str) -> str:
    """What our command line really prints for these, as a log of 80 columns has it."""
    command = [sys.executable, "-c", "from deepscaler.cli import main; main()", *arguments]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, env=environment)
    assert "╰" in done.stderr
    return done.stdout + done.stderr


def test_no_box_is_taken_for_a_cause(tmp_path):
    """A work root with a space, unquoted, gives a verb one argument too many."""
    said = boxed("fetch_benchmark", "--scale", "mini", "--benchmark", "b", "--output", "/scratch/my", "work/b.parquet")
    found = last_useful_line(write(tmp_path, said))
    assert found.startswith("Error: ")
    assert "work/b.parquet" in found


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("╭─ Error ──╮\n│ one thing that  │\n│ is wrong │\n╰──────╯\n", "Error: one thing that is wrong"),
        ("\x1b[31m┏━━━━┓\n┃ bare ┃\n┗━━━━┛\x1b[0m\n", "bare"),
        ("ValueError: bad\n╰────╯\n", "ValueError: bad"),
        ("the last\n────────────\n", "the last"),
        ("╭─ Traceback (most recent call last) ─╮\n│ x.py:1 │\n╰───╯\nKeyError: 'x'\n", "KeyError: 'x'"),
        ("sampling: 40%|████      | 4/10\n", "sampling: 40%|████      | 4/10"),
        ("\x1b]0;title\x07plain\x00 text\x1b[2K\n", "plain text"),
        ("╭─ half a box\n│ cut off", "half a box: cut off"),
    ],
)
def test_what_is_drawn_is_not_read(tmp_path, log, line):
    assert last_useful_line(write(tmp_path, log)) == line
