"""Being told to end, without a trainer: who is asked, what is left for whoever submitted the job."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deepscaler.errors import GoOn, JobError
from deepscaler.files import write_json
from deepscaler.training.run import stop_request
from deepscaler.training.run.stop_request import StopRequest, Told, answer_of, take_note

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of a job: tests in the background may have been started deaf to Ctrl-C."""
    before = [signal.signal(number, signal.SIG_DFL) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def saved() -> list[int]:
    return [4]


@pytest.fixture
def stop(tmp_path: Path, saved: list[int], monkeypatch: pytest.MonkeyPatch) -> StopRequest:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    return StopRequest(tmp_path / "stop", tmp_path, lambda: saved[-1], lambda line: None)


def listened(stop: StopRequest, train: Callable[[], None]) -> None:
    with stop.listening(), stop.while_training():
        train()


def test_the_trainer_is_asked_and_its_answer_ends_the_job(stop: StopRequest, saved: list[int], tmp_path: Path) -> None:

    def train() -> None:
        stop.look()
        assert not stop_request.is_asked(str(stop.stop))
        os.kill(os.getpid(), signal.SIGTERM)
        stop.look()
        assert stop_request.is_asked(str(stop.stop))
        assert (tmp_path / "told-7").exists(), "SIGKILL may come next"
        saved.append(5)
        write_json(answer_of(stop.stop), {"step": 5})
        stop.look()

    with pytest.raises(GoOn, match="told to end by SIGTERM: step 5 is saved") as told:
        listened(stop, train)
    assert told.value.exit_code == 75
    assert take_note(tmp_path, "7") == Told("SIGTERM", start=4, saved=5)
    assert list(tmp_path.iterdir()) == []


def test_another_node_can_tell_it(stop: StopRequest, tmp_path: Path) -> None:

    def train() -> None:
        stop_request.warn(stop_request.environment(tmp_path))
        stop.look()
        raise JobError("Ray on node2 ended")

    with pytest.raises(GoOn):
        listened(stop, train)
    note = take_note(tmp_path, "7")
    assert note == Told("SLURM", start=4, saved=4)
    assert not note.came_further


def test_what_an_earlier_job_of_that_number_left_is_not_this_ones(stop: StopRequest, tmp_path: Path) -> None:
    (tmp_path / "warned-7").touch()
    write_json(tmp_path / "told-7", {"reason": "SIGTERM", "start": 1, "saved": 2})
    with stop.listening(), stop.while_training():
        stop.look()
    assert take_note(tmp_path, "7") is None


def test_a_failure_that_nobody_asked_for_is_one(stop: StopRequest, tmp_path: Path) -> None:
    with pytest.raises(JobError), stop.listening(), stop.while_training():
        raise JobError("no space left")
    assert take_note(tmp_path, "7") is None


def test_outside_of_training_it_ends_at_once_and_ctrl_c_twice_always(stop: StopRequest) -> None:
    with pytest.raises(GoOn, match="SIGTERM, at once"), stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)
    stop.reason = None

    def train() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        stop.look()
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(GoOn, match="SIGINT, at once"):
        listened(stop, train)


def test_outside_of_slurm_there_is_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    alone = StopRequest(tmp_path / "stop", tmp_path, lambda: 0, lambda line: None)
    with pytest.raises(GoOn), alone.listening():
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop_request.environment(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
