"""A reader of a run's files keeps the run waiting: whoever can open a lock can hold it. So locks are their owner's."""

import fcntl
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import neighbour
import pytest
from deepscaler.controller import stale_locks
from deepscaler.errors import UserError
from deepscaler.files import lock_file
from deepscaler.training.launch import reaper
from deepscaler.training.run.writer_lock import only_writer

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user to attack as")
HOLD = """
import fcntl, os, sys
os.setgroups([]); os.setgid({uid}); os.setuid({uid})
try:
    fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("holds it", flush=True)
    sys.stdin.read()
except OSError as error:
    print(type(error).__name__)
"""


def held_by_a_neighbour(path: Path) -> str:
    """What comes of another user's attempt to hold a lock."""
    code = HOLD.format(uid=neighbour.NOBODY)
    run = subprocess.run([sys.executable, "-c", code, str(path)], input="", capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder in which everyone may read."""
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        if folder.owner() == tmp_path.owner() and folder != Path("/tmp"):
            folder.chmod(0o755)
    return tmp_path


@ROOT_ONLY
def test_a_lock_that_he_can_read_he_can_hold(open_folder: Path) -> None:
    """The negative control: a lock as `open` makes it."""
    (open_folder / "writer.lock").touch(0o644)
    assert held_by_a_neighbour(open_folder / "writer.lock") == "holds it"


@ROOT_ONLY
@pytest.mark.parametrize("before", ["none", "of an earlier version"])
def test_he_cannot_hold_a_run_folders(before: str, open_folder: Path) -> None:
    lock = open_folder / "writer.lock"
    if before != "none":
        lock.touch(0o644)
    with only_writer(open_folder):
        pass
    assert held_by_a_neighbour(lock) == "PermissionError"


LOCKS = {"alone.sh": "alone.lock", "setup.sh": "setup.lock"}


def command_in(checkout: Path, script: str, root: Path) -> list[str]:
    """A script in a checkout that has what it needs, with an environment that is already made."""
    if script == "alone.sh":
        (checkout / "workflow").mkdir()
        shutil.copy(root / "workflow" / script, checkout / "workflow")
        return [str(checkout / "workflow" / script), "true"]
    shutil.copytree(root / "envs", checkout / "envs")
    (checkout / "pyproject.toml").touch()
    (checkout / "venv").mkdir()
    digest = "cat uv.lock.txt cpu[-.]*txt | sha256sum | cut -c1-64 > ../venv/installed; touch ../venv/made-by-setup"
    subprocess.run(["bash", "-c", digest], cwd=checkout / "envs", check=True)
    return [str(checkout / "envs" / script), "cpu", str(checkout / "venv")]


@ROOT_ONLY
@pytest.mark.parametrize("script", ["alone.sh", "setup.sh"])
def test_he_cannot_hold_a_checkouts(script: str, root: Path, open_folder: Path) -> None:
    folder = open_folder / "checkout"
    (folder / ".snakemake").mkdir(parents=True)
    (folder / ".snakemake" / LOCKS[script]).touch(0o644)
    subprocess.run(command_in(folder, script, root), check=True, capture_output=True, timeout=60)
    lock = next((folder / ".snakemake").glob("*.lock"))
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    assert held_by_a_neighbour(lock) == "PermissionError"


@pytest.mark.parametrize("script", ["alone.sh", "setup.sh"])
def test_a_lock_that_is_a_pipe_keeps_nobody_waiting(script: str, root: Path, tmp_path: Path) -> None:
    """Handed over with a checkout: to open it would wait for a reader."""
    (tmp_path / ".snakemake").mkdir()
    os.mkfifo(tmp_path / ".snakemake" / LOCKS[script])
    ended = subprocess.run(command_in(tmp_path, script, root), capture_output=True, timeout=60)
    assert ended.returncode == (2 if script == "alone.sh" else 0)


def test_a_note_that_names_a_file_for_a_process_does_not_wait(tmp_path: Path) -> None:
    (tmp_path / "stat").symlink_to("/dev/null")
    above = "/".join([".."] * 3) + str(tmp_path)
    note = tmp_path / "0.json"
    about = {"host": socket.gethostname(), "pid": f"self/{above}", "started": 1, "token": None, "locks": []}
    note.write_text(json.dumps(about))
    assert stale_locks.read_stale(note) == about
    note.write_text(json.dumps(about | {"pid": [1]}))
    assert stale_locks.read_stale(note)


@ROOT_ONLY
def test_a_neighbours_process_is_none_of_a_launch(tmp_path: Path) -> None:
    """Root can read his environment; started anew and anew, he would keep the reaper at work for ever."""
    variables = {reaper.VARIABLE: "seen-in-ps", stale_locks.RUN: "seen-in-ps"}
    his = subprocess.Popen(["sleep", "60"], env=os.environ | variables, user=neighbour.NOBODY, group=neighbour.NOBODY)
    try:
        assert his.pid not in reaper.carriers("seen-in-ps")
        assert his.pid not in reaper.carriers("seen-in-ps", stale_locks.RUN)
        assert reaper.stop_all("seen-in-ps") == 0
        assert his.poll() is None
    finally:
        his.kill()
        his.wait()


def test_a_note_of_a_run_that_lives_is_its_owners(tmp_path: Path) -> None:
    lock = tmp_path / "0.input.lock"
    lock.touch()
    stale_locks.announce([lock], tmp_path / "alive")
    [note] = (tmp_path / "alive").glob("*.json")
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    assert json.loads(note.read_text())["locks"][0][0] == str(lock)


@ROOT_ONLY
def test_a_lock_of_another_users_is_refused(tmp_path: Path) -> None:
    """He made it first, and holds it for ever."""
    lock = tmp_path / "writer.lock"
    lock.touch(0o666)
    os.chown(lock, neighbour.NOBODY, neighbour.NOBODY)
    with pytest.raises(UserError, match="not a file of yours"):
        lock_file(lock)
    os.chown(tmp_path, neighbour.NOBODY, neighbour.NOBODY)
    lock_file(lock).close()  # in a folder of his own, as where root looks after a user's checkout


def test_a_lock_that_is_a_link_or_a_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(UserError, match="not a file of yours"):
            lock_file(tmp_path / name)
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_still_keeps_a_second_process_out(tmp_path: Path) -> None:
    with lock_file(tmp_path / "lock") as first, lock_file(tmp_path / "lock") as second:
        fcntl.flock(first, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
