"""A killed run's lock files go; a living one's and later ones of the same name stay; what it left behind is found."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deepscaler.controller import orphans, stale_locks

RUN = """
import sys, time
from pathlib import Path
from deepscaler.controller import stale_locks
stale_locks.announce(sys.argv[2:], Path(sys.argv[1]), token="t-1")
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


def remove_stale(folder: Path) -> None:
    stale_locks.remove_stale(folder / "notes", folder / "locks")


def test_a_killed_runs_locks_go(tmp_path: Path, locks: list[Path], run: "subprocess.Popen[str]") -> None:
    run.kill()
    run.wait()
    remove_stale(tmp_path)
    assert not any(path.exists() for path in locks)
    assert list((tmp_path / "notes").iterdir()) == []


@pytest.mark.usefixtures("run")
def test_a_lock_that_no_note_names_may_be_a_living_runs(tmp_path: Path) -> None:
    unnamed = tmp_path / "locks" / "1.input.lock"
    unnamed.touch()
    remove_stale(tmp_path)
    assert unnamed.exists()


def test_a_lock_that_no_note_names_is_no_ones_where_no_run_lives(tmp_path: Path, locks: list[Path]) -> None:
    remove_stale(tmp_path)
    assert not any(path.exists() for path in locks)


def test_without_locks_of_the_file_system_the_process_shows_it(
    tmp_path: Path, locks: list[Path], run: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stale_locks.writer_lock, "try_lock", lambda handle: True)
    remove_stale(tmp_path)
    assert all(path.exists() for path in locks)
    run.kill()  # a zombie from here on
    while stale_locks.started(run.pid) is not None:
        time.sleep(0.01)
    remove_stale(tmp_path)
    assert not any(path.exists() for path in locks)


def test_a_process_of_the_same_number_is_not_the_run(
    tmp_path: Path, locks: list[Path], run: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stale_locks.writer_lock, "try_lock", lambda handle: True)
    [note] = (tmp_path / "notes").glob("*.json")
    note.write_text(json.dumps({**json.loads(note.read_text()), "started": 1}))
    remove_stale(tmp_path)
    assert not any(path.exists() for path in locks)


def test_what_a_killed_run_left_behind_is_waited_for(
    tmp_path: Path, locks: list[Path], run: "subprocess.Popen[str]"
) -> None:
    """Its locks go at once, its note stays for as long as its jobs: whoever starts jobs waits for them."""
    left = subprocess.Popen(["sleep", "60"], env={**os.environ, stale_locks.RUN: "t-1"})
    notes, said = tmp_path / "notes", list[str]()
    assert stale_locks.orphans(notes) == []  # the run lives
    run.kill()
    run.wait()
    remove_stale(tmp_path)
    assert not any(path.exists() for path in locks)
    assert stale_locks.orphans(notes) == [left.pid]
    threading.Timer(0.5, left.kill).start()
    assert orphans.wait_for_orphans(said.append, notes, pause=0.05)
    left.wait()
    assert str(left.pid) in said[1]
    remove_stale(tmp_path)
    assert list(notes.iterdir()) == []
    assert not orphans.wait_for_orphans(said.append, notes)


@pytest.mark.usefixtures("run")
def test_a_living_runs_locks_stay(tmp_path: Path, locks: list[Path]) -> None:
    remove_stale(tmp_path)
    assert all(path.exists() for path in locks)
    assert len(list((tmp_path / "notes").iterdir())) == 1


def test_a_later_lock_of_the_same_name_stays(tmp_path: Path, locks: list[Path], run: "subprocess.Popen[str]") -> None:
    run.kill()
    run.wait()
    aside = tmp_path / "aside"
    aside.write_text("another run's\n")
    aside.replace(locks[0])
    with (tmp_path / "notes/another.json").open("w") as handle:
        stale_locks.writer_lock.try_lock(handle)  # the run whose lock it is
        remove_stale(tmp_path)
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
    stale_locks.remove_stale(notes, tmp_path / "locks")
    assert [path.exists() for path in (*locks, note)] == [not gone] * 3
