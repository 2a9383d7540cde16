"""One writer for a run folder: a second one waits, then gets the name of the holder; a dead one holds nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from deepscaler.errors import JobError
from deepscaler.training.run import writer_lock
from deepscaler.training.run.writer_lock import only_writer

HOLD = """
import sys, time
from pathlib import Path
from deepscaler.training.run.writer_lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_writer_is_refused_by_name(
    tmp_path: Path, holder: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSCALER_LOCK_WAIT", "0")
    with pytest.raises(JobError, match=f"process {holder.pid} on {socket.gethostname()}"), only_writer(tmp_path):
        pass


def test_a_second_writer_waits_and_says_so(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    messages: list[str] = []

    def report(line: str) -> None:
        messages.append(line)
        os.kill(holder.pid, signal.SIGKILL)

    with only_writer(tmp_path, report):
        assert json.loads((tmp_path / "writer.json").read_text())["pid"] == os.getpid()
    assert len(messages) == 1
    assert f"process {holder.pid}" in messages[0]


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    started = time.monotonic()
    with only_writer(tmp_path):
        assert time.monotonic() - started < 1


def remote(folder: Path, age: float) -> None:
    """What a holder on another computer leaves, on a file system whose locks don't reach here."""
    (folder / "writer.json").write_text(json.dumps({"host": "elsewhere", "pid": 7, "job": "42", "since": "today"}))
    then = time.time() - age
    os.utime(folder / "writer.json", (then, then))


def test_a_living_holder_on_another_computer_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSCALER_LOCK_WAIT", "0")
    remote(tmp_path, age=10)
    with pytest.raises(JobError, match="on elsewhere, SLURM job 42"), only_writer(tmp_path):
        pass


def test_a_silent_holder_on_another_computer_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSCALER_LOCK_WAIT", "0")
    remote(tmp_path, age=writer_lock.STALE_SECONDS + 10)
    with only_writer(tmp_path):
        pass


def test_the_holder_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_lock, "HEARTBEAT_SECONDS", 0.05)
    with only_writer(tmp_path):
        then = time.time() - 100
        os.utime(tmp_path / "writer.json", (then, then))
        deadline = time.monotonic() + 5
        while writer_lock.seconds_since_heartbeat(tmp_path) > 50 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert writer_lock.seconds_since_heartbeat(tmp_path) < 50
    assert not (tmp_path / "writer.json").exists()
