"""Alerts, received by real servers on loopback: one that answers, refuses, fails and hangs."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from deepscaler import dag, settings
from deepscaler.alerts import events, outbox, send
from deepscaler.controller import notices
from deepscaler.controller.console.failure import Failure
from deepscaler.errors import JobError, UserError
from deepscaler.settings import load
from deepscaler.training.watch.alert import SegmentAlerts, stage_done
from deepscaler.training.watch.guard import guard

SECRET = "Zq7-a-password-of-alerts-9x"
WAIT = 60


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent, and answers with `status`."""

    def __init__(self, status: int = 200) -> None:
        self.got: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status = status
        super().__init__(("127.0.0.1", 0), Answer)

    def address(self) -> str:
        return f"json://me:{SECRET}@127.0.0.1:{self.server_port}/{SECRET}"

    def titles(self) -> list[str]:
        return [message["title"] for message in self.got]


class Answer(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.paths.append(self.path)
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def site(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Sets addresses of a site of its own; gives the outbox of mini."""
    shutil.copytree(root / "config", tmp_path / "config")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))

    def choose(*addresses: str, sent_from: str = "node") -> Path:
        lines = [f"alerts: {json.dumps(addresses)}", f"alerts_from: {sent_from}"]
        (tmp_path / "config/site.local.yaml").write_text("\n".join(lines), encoding="utf-8")
        load.site.cache_clear()
        return outbox.folder_of("mini")

    load.site.cache_clear()
    yield choose
    load.site.cache_clear()


def soon(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + WAIT
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


def written(folder: Path) -> str:
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


def test_nothing_is_written_where_nobody_is_to_be_told(site: Callable[..., Path]) -> None:
    folder = site()
    events.from_job("mini", "one", "a title")
    assert not folder.exists()


def test_an_event_reaches_the_server_once_and_the_secret_no_file(site: Callable[..., Path], receiver: Receiver) -> None:
    folder = site(receiver.address())
    for _ in range(2):
        events.from_job("mini", "begun-s1", "stage s1 has begun")
    assert soon(lambda: (folder / "begun-s1.1.sent").exists())
    assert send.send("mini") == (0, 0)
    assert receiver.titles() == ["DeepScaleR mini: stage s1 has begun"]
    assert receiver.paths == [f"/{SECRET}"]
    assert SECRET not in written(folder)


def test_processes_at_the_same_time_send_it_once(site: Callable[..., Path], receiver: Receiver) -> None:
    folder = site(receiver.address())
    code = "from deepscaler.alerts import events as e; e.from_job('mini', 'one', 'one'); e.send_pending('mini')"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait(WAIT) for process in processes] == [0] * 4
    assert soon(lambda: (folder / "one.1.sent").exists())
    time.sleep(1)
    assert send.send("mini") == (0, 0)
    assert receiver.titles() == ["DeepScaleR mini: one"]


def test_an_address_stands_in_a_variable_or_a_file(
    site: Callable[..., Path], receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "address").write_text(receiver.address() + "\n", encoding="utf-8")
    monkeypatch.setenv("MY_ALERTS", receiver.address())
    site("env:MY_ALERTS", f"file:{tmp_path / 'address'}")
    events.tell("mini", outbox.Event("one", "one", "text"), at_once=False)
    assert send.send("mini") == (2, 0)
    monkeypatch.delenv("MY_ALERTS")
    with pytest.raises(UserError, match="address 1 of `alerts` is empty"):
        send.send("mini")


def test_a_server_that_fails_is_tried_again_and_named_by_number(
    site: Callable[..., Path], receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = site(receiver.address())
    receiver.status = 500
    events.tell("mini", outbox.Event("one", "one", "text"), at_once=False)
    with pytest.raises(JobError) as failed:
        send.by_hand("mini", test=False)
    assert "address 1" in (folder / send.FAILURES).read_text()
    receiver.status = 200
    assert send.send("mini") == (1, 0)
    said = "".join(capfd.readouterr())
    assert SECRET not in said + str(failed.value) + written(folder)


def test_a_server_that_refuses_delays_nobody_and_the_others_are_told(
    site: Callable[..., Path], receiver: Receiver
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        site(f"json://127.0.0.1:{nobody.getsockname()[1]}/{SECRET}", receiver.address())
        events.tell("mini", outbox.Event("one", "one", "text"), at_once=False)
        assert send.send("mini") == (1, 1)
    assert receiver.titles() == ["DeepScaleR mini: one"]


def test_a_server_that_hangs_ends_the_sender_and_stops_nothing(
    site: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        folder = site(f"json://127.0.0.1:{silent.getsockname()[1]}/{SECRET}?rto=600")
        events.tell("mini", outbox.Event("one", "one", "text"), at_once=False)
        code = "from deepscaler.alerts import send; send.SECONDS = 2; send.main('mini')"
        ended = subprocess.run([sys.executable, "-c", code], timeout=WAIT, check=False, capture_output=True)
        assert ended.returncode == 1
        assert "not everything was sent in 2 seconds" in (folder / send.FAILURES).read_text()
        assert SECRET not in ended.stderr.decode() + written(folder)


def test_jobs_leave_it_to_the_controller_where_nodes_have_no_way_out(
    site: Callable[..., Path], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = site(receiver.address(), sent_from="controller")
    started: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(send, "start", started.append)
        events.from_job("mini", "one", "one")
    assert started == []
    monkeypatch.setattr(notices, "scales", ["mini"])
    monkeypatch.setattr(notices, "looked", 0.0)
    notices.look(1e9)
    assert soon(lambda: (folder / "one.1.sent").exists())


def test_the_controller_tells_failures_and_the_end(site: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = site("json://127.0.0.1:9")
    monkeypatch.setattr(send, "start", lambda scale: None)
    monkeypatch.setattr(notices, "scales", ["mini"])
    log = "/somewhere/logs/mini/sample/base.log"
    notices.job_failed(Failure("sample", "Sampling", "killed", "it ended", (log,), "type it again"))
    notices.ended()
    notices.ended(["sample failed: it ended"])
    titles = sorted(event.title for event, _ in outbox.pending(folder, 1))
    assert titles == [f"DeepScaleR mini: {what}" for what in ("finished", "sample failed", "the run has stopped")]


def test_an_unwritable_outbox_stops_nothing(site: Callable[..., Path]) -> None:
    folder = site("json://127.0.0.1:9")
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the folder should be")
    events.from_job("mini", "one", "one")
    events.send_pending("mini")


@pytest.mark.parametrize("given", [f'["{SECRET}"]', f'"{SECRET}"', f'{{a: "{SECRET}"}}', f'[["{SECRET}"]]'])
def test_a_wrong_address_is_refused_without_being_shown(site: Callable[..., Path], tmp_path: Path, given: str) -> None:
    site()
    (tmp_path / "config/site.local.yaml").write_text(f"alerts: {given}", encoding="utf-8")
    load.site.cache_clear()
    with pytest.raises(UserError) as refused:
        settings.site()
    assert SECRET not in str(refused.value)
    assert "alerts" in str(refused.value)


def test_a_site_shows_no_address(site: Callable[..., Path]) -> None:
    site(f"json://me:{SECRET}@127.0.0.1")
    assert SECRET not in repr(settings.site()) + settings.site().model_dump_json()


@pytest.fixture
def told(site: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The titles of the events so far, the oldest first; nothing is sent."""
    folder = site("json://127.0.0.1:9")
    monkeypatch.setattr(send, "start", lambda scale: None)
    return lambda: [event.text for event, _ in outbox.pending(folder, 1)]


def test_a_segment_tells_what_it_should(told: Callable[[], list[str]], tmp_path: Path) -> None:
    from deepscaler.training.run.run_folder import RunFolder

    segment = dag.segments("mini")[0]
    folder = RunFolder(tmp_path / "runs/one")
    folder.start.mkdir(parents=True)
    (folder.start / "model.safetensors").write_bytes(b"x" * 100)
    alerts = SegmentAlerts("mini", segment, folder, "attempt-1")
    alerts.begun()
    alerts.begun()
    assert len(told()) == 1
    assert "has begun" in told()[0]
    for step in range(1, 6):
        alerts.on_step(step, 100.0 * step)
    alerts.look(500.0 + 299)
    assert len(told()) == 1
    for now in (801.0, 900.0):
        alerts.look(now)
    late = [text for text in told() if "none for" in text]
    assert len(late) == 1
    assert "after step 5" in late[0]
    os.truncate(folder.start / "model.safetensors", 1 << 43)  # a sparse file of 8 TB of weights
    alerts.check_disk()
    assert any("a state and weights take" in text for text in told())
    stage_done("mini", [piece for piece in dag.segments("mini") if piece.stage == segment.stage][-1])
    assert any("steps in all" in text for text in told())


def test_a_state_that_goes_away_ends_no_training(
    told: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older states are removed while their sizes are read."""
    from deepscaler.training.run.run_folder import RunFolder
    from deepscaler.training.watch import alert

    looked = []

    def gone(path: Path) -> int:
        looked.append(path)
        raise FileNotFoundError(path)

    monkeypatch.setattr(alert, "folder_bytes", gone)
    folder = RunFolder(tmp_path / "runs/one")
    (folder.states / "_actor/global_step1").mkdir(parents=True)
    alerts = SegmentAlerts("mini", dag.segments("mini")[0], folder, "attempt-1")
    alerts.begun()
    alerts.on_step(1, 1.0)
    alerts.look(2.0)
    assert looked
    assert len(told()) == 1


def test_events_lie_where_the_run_does(
    site: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site("json://127.0.0.1:9")
    monkeypatch.setenv("DEEPSCALER_DIRECTORY", str(tmp_path / "elsewhere"))
    assert outbox.folder_of("mini").is_relative_to(tmp_path / "elsewhere")


def test_a_stop_for_health_tells_the_reason_and_how_to_go_on(told: Callable[[], list[str]], tmp_path: Path) -> None:
    segment = dag.segments("mini")[0]
    runs = tmp_path / "work/mini/runs"
    runs.mkdir(parents=True)
    on_step = guard("mini", segment.id, runs)
    with pytest.raises(JobError):
        on_step({"stage": segment.stage, "step": 1, "rollout/reward_mean": float("nan")})
    assert "unhealthy at step 1" in told()[0]
    assert "change training.health." in told()[0]
