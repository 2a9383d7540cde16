"""Snakemake with our logger plugin: on a terminal, in a pipe, with failures, and when it is interrupted."""

import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
import terminal
import yaml

SNAKEFILE = """
from deepscaler.controller.console import handler as console

onstart:
    console.begin(workflow)

onerror:
    console.say("verdict: NO GO\\n  steps: 1, bound 2")

rule all:
    input:
        "good.txt", "bad.txt", "killed.txt",

rule good:
    output: "good.txt"
    log: "logs/good.log"
    message: "Making something good"
    shell: "(echo DeprecationWarning; echo 'working: 3/4 step [00:01<00:01, 1.00step/s]'; sleep 3; touch {output})"
        " 2>&1 | tee {log}"

rule bad:
    output: "bad.txt"
    log: "logs/bad.log"
    message: "Making something bad"
    shell: "(echo 'ValueError: bad luck'; exit 3) 2>&1 | tee {log}"

rule killed:
    output: "killed.txt"
    log: "logs/killed.log"
    message: "Making something large"
    shell: "(echo begun; kill -9 $BASHPID) 2>&1 | tee {log}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


def command(*arguments: str) -> list[str]:
    snakemake = str(Path(sys.executable).with_name("snakemake"))
    return [snakemake, "--logger", "deepscaler", "--cores", "3", *arguments]


def environment(**given: str) -> dict[str, str]:
    names = ("NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG", "MAKELEVEL", "COLUMNS", "LINES")
    ours = {key: value for key, value in os.environ.items() if key not in names}
    return {**ours, "TERM": "xterm-256color", "LANG": "C.UTF-8", **given}


def piped(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=100
    )


def on_terminal(folder: Path, *arguments: str, interrupt_at: str | None = None, **given: str) -> tuple[int, str]:
    """Exit code and all that a terminal of 80 columns gets; Ctrl-C is typed when `interrupt_at` has appeared."""
    pid, screen = terminal.start(command(*arguments), environment(COLUMNS="80", LINES="24", **given), folder)
    shown, last = b"", time.monotonic() + 90
    try:
        while time.monotonic() < last:
            if select.select([screen], [], [], 1)[0]:
                try:
                    piece = os.read(screen, 65536)
                except OSError:
                    break
                if not piece:
                    break
                shown += piece
            if interrupt_at and interrupt_at.encode() in shown:
                os.write(screen, b"\x03")
                interrupt_at = None
    finally:
        code = terminal.end(pid, screen)
    return code, shown.decode()


def log_of(folder: Path) -> str:
    [log] = (folder / ".snakemake/log").glob("*.snakemake.log")
    return log.read_text()


def test_a_pipe_gets_few_plain_lines(folder: Path) -> None:
    done = piped(folder, "good.txt")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) <= 5, done.stderr
    assert "\x1b" not in done.stderr
    assert "DeprecationWarning" not in done.stderr + done.stdout
    assert "DeprecationWarning" in log_of(folder)
    assert re.search(r"all else is in \.snakemake/log/\S+\.log$", done.stderr, re.MULTILINE)
    assert re.search(r"✓ 1 jobs? in \d+ s$", lines[-1])
    again = piped(folder, "good.txt")
    assert [line for line in again.stderr.splitlines() if "Nothing to be done" in line]
    assert len(again.stderr.splitlines()) == 1


def test_what_a_run_says_at_its_end_is_on_the_console_and_in_the_log(folder: Path) -> None:
    """Its stderr is the log's by then."""
    said = piped(folder, "bad.txt").stderr
    assert re.search(r"verdict: NO GO\n.* steps: 1, bound 2\n", said)
    assert "verdict: NO GO" in log_of(folder)


def test_failures_say_why_and_what_next(folder: Path) -> None:
    done = piped(folder, "--keep-going")
    assert done.returncode == 1
    said = done.stderr
    assert re.search(
        r"✗ killed failed: Making something large\n.* why   killed by signal 9 \(SIGKILL\): out of memory\?", said
    )
    assert re.search(r"✗ bad failed: Making something bad\n.* last  ValueError: bad luck\n.* log   logs/bad\.log", said)
    assert "Traceback" not in said
    assert "RuleException" not in said
    assert re.search(r"✗ 1 of 3 jobs done in \d+ s, 2 failed", said)
    assert re.search(
        r"next  type it again, finished jobs are kept: \S*snakemake --logger deepscaler --cores 3 --keep-going$", said
    )


def test_a_terminal_shows_the_progress_and_is_left_sane(folder: Path) -> None:
    code, shown = on_terminal(folder, "good.txt")
    assert code == 0, shown
    assert "3/4 steps" in shown
    assert "0 of 1 job" in shown
    assert "\x1b[?" not in shown  # neither the cursor nor a mode of the terminal was changed
    assert "DeprecationWarning" not in shown
    assert "\x1b[32m" in shown


def test_without_colour_and_without_unicode(folder: Path) -> None:
    code, shown = on_terminal(folder, "good.txt", NO_COLOR="1", LC_ALL="C")
    assert code == 0, shown
    assert not re.search(r"\x1b\[[0-9;]*3\d", shown)
    assert shown.isascii()


def test_an_interruption_is_no_failure(folder: Path) -> None:
    code, shown = on_terminal(folder, "good.txt", interrupt_at="Making something good")
    assert code != 0
    assert "stopped: 0 of 1 job done" in shown
    assert "failed" not in shown
    assert re.search(r"\r\n(\x1b\[J)?$", shown)


def test_dry_runs_are_snakemakes_own(folder: Path) -> None:
    done = piped(folder, "--dry-run")
    assert "This was a dry-run" in done.stdout + done.stderr
    assert "Making something good" in done.stdout + done.stderr


def test_the_snakefile_and_the_profiles_use_it(root: Path) -> None:
    assert "console.begin(workflow)" in (root / "Snakefile").read_text()
    for profile in ("laptop", "workstation", "slurm"):
        assert yaml.safe_load((root / "profiles" / profile / "config.yaml").read_text())["logger"] == "deepscaler"
