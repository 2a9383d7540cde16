"""A killed run's lock files go; a living one's, a local one's and later ones of the same name stay."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deepscaler.controller import stale_locks

RUN = """
import sys, time
from pathlib import Path
from deepscaler.controller import stale_locks
stale_locks.announce(sys.argv[2:], Path(sys.argv[1]))
print("announced", flush=True)
time.sleep(60)
"""


@pytest.fixture
def locks(tmp_path: Path) -> list[Path]:
    (tmp_path / "locks").mkdir()
    paths = [tmp_path / "locks" / "0.input.lock", tmp_path / "locks" / "0.output.lock"]
    for path in paths:
        path.write_text("table.csv\n")
    return paths


@pytest.fixture
def run(tmp_path: Path, locks: list[Path]) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", RUN, str(tmp_path / "notes"), *map(str, locks)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "announced\n"
    yield process
    process.kill()
    process.wait()


def test_a_killed_runs_locks_go(tmp_path: Path, locks: list[Path], run: "subprocess.Popen[str]") -> None:
    others = tmp_path / "locks" / "1.input.lock"
    others.write_text("a local run's\n")
    run.kill()
    run.wait()
    stale_locks.remove_stale(tmp_path / "notes")
    assert [path.exists() for path in (*locks, others)] == [False, False, True]
    assert list((tmp_path / "notes").iterdir()) == []


@pytest.mark.usefixtures("run")
def test_a_living_runs_locks_stay(tmp_path: Path, locks: list[Path]) -> None:
    stale_locks.remove_stale(tmp_path / "notes")
    assert all(path.exists() for path in locks)
    assert len(list((tmp_path / "notes").iterdir())) == 1


def test_a_later_lock_of_the_same_name_stays(tmp_path: Path, locks: list[Path], run: "subprocess.Popen[str]") -> None:
    run.kill()
    run.wait()
    aside = tmp_path / "aside"
    aside.write_text("another run's\n")
    aside.replace(locks[0])
    stale_locks.remove_stale(tmp_path / "notes")
    assert [path.exists() for path in locks] == [True, False]


@pytest.mark.parametrize(("silent", "gone"), [(10, False), (120, True)])
def test_a_run_on_another_computer_is_dead_when_silent(
    tmp_path: Path, locks: list[Path], silent: float, gone: bool
) -> None:
    """Where locks do not reach other computers, the note's age decides."""
    notes = tmp_path / "notes"
    notes.mkdir()
    content = {"host": f"not-{socket.gethostname()}", "locks": [stale_locks.fingerprint(path) for path in locks]}
    note = notes / "there.json"
    note.write_text(json.dumps(content))
    now = note.stat().st_mtime
    os.utime(note, (now - silent, now - silent))
    stale_locks.remove_stale(notes)
    assert [path.exists() for path in (*locks, note)] == [not gone] * 3
