"""A job that was told to end is submitted again without Snakemake's hearing of it; tests/slurm does it on a cluster."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deepscaler.controller import stale_locks, told_to_end
from deepscaler.files import write_json
from deepscaler.settings import load


def job(rule: str = "train_segment", *, group: bool = False) -> Any:
    return SimpleNamespace(name=rule, wildcards=SimpleNamespace(scale="mini"), is_group=lambda: group)


def ended(of: Any, number: str | None = "7") -> Any:
    return SimpleNamespace(job=of, external_jobid=number)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DEEPSCALER_WORK", str(tmp_path))
    load.site.cache_clear()
    folder = tmp_path / "mini/runs"
    folder.mkdir(parents=True)
    yield folder
    load.site.cache_clear()


def leave(runs: Path, start: int, saved: int) -> None:
    write_json(runs / "told-7", {"reason": "SIGTERM", "start": start, "saved": saved})


def test_which_jobs_are_no_failure(runs: Path) -> None:
    assert told_to_end.why_again(job(), "7", set()) is None, "it failed by itself"
    assert told_to_end.why_again(job(), None, set()) is None, "SLURM did not take it"
    leave(runs, start=2, saved=3)
    assert told_to_end.why_again(job(), "7", set()) == "ended by SIGTERM; it goes on after step 3"
    assert not list(runs.iterdir()), "the note is of one job alone"
    leave(runs, start=2, saved=2)
    assert told_to_end.why_again(job(), "7", set()) is None, "it might go on so for ever"
    leave(runs, start=2, saved=2)
    assert told_to_end.why_again(job(), "7", {"7"}) == "made way for another; it goes on after step 2"
    assert told_to_end.why_again(job("sample"), "7", {"7"}) == "made way for another"
    assert told_to_end.why_again(job(group=True), "7", {"7"}) == "made way for another"
    assert told_to_end.why_again(job("sample"), "7", {"8"}) is None


def test_a_note_that_is_broken_is_none(runs: Path) -> None:
    for text in ("", "[]", "null", '{"reason": "SIGTERM"}', '{"reason": 1, "start": "x", "saved": 2}'):
        (runs / "told-7").write_text(text)
        assert told_to_end.why_again(job(), "7", set()) is None
        assert not list(runs.iterdir())


class Executor:
    """What is used of the plugin's."""

    def __init__(self) -> None:
        self.workflow = SimpleNamespace(scheduler=SimpleNamespace(_user_kill=None))
        self._job_submission_executor = SimpleNamespace(submit=lambda function, job: function(job))
        self.submitted: list[Any] = []
        self.errors: list[Any] = []
        self.cancelled_jobs: list[Any] = []
        self.run_job: Callable[[Any], None] = self.submitted.append
        self.report_job_error: Callable[..., None] = lambda info, msg=None, **_: self.errors.append(info)
        self.cancel_jobs: Callable[[Any], None] = self.cancelled_jobs.extend


def test_it_is_submitted_again_unless_snakemake_ends(runs: Path) -> None:
    executor = Executor()
    told_to_end.submit_again(executor, set())
    leave(runs, start=2, saved=3)
    told, failed = ended(job()), ended(job())
    executor.report_job_error(told, msg="SLURM status is: 'FAILED'", aux_logs=[])
    executor.report_job_error(failed, msg="SLURM status is: 'FAILED'", aux_logs=[])
    assert (executor.submitted, executor.errors) == ([told.job], [failed])
    leave(runs, start=3, saved=4)
    executor.workflow.scheduler._user_kill = "graceful"
    executor.report_job_error(told, msg="", aux_logs=[])
    assert (executor.submitted, executor.errors) == ([told.job], [failed, told])


def test_ctrl_c_lets_training_end_with_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As scancel says of the two: one runs, the other waits still."""
    scancel = tmp_path / "scancel"
    scancel.write_text(
        '#!/bin/sh\necho "$@" >> calls\ncase "$*" in *7) echo "scancel: Signal 15 to batch job 7" >&2;; esac\n'
    )
    scancel.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    executor = Executor()
    told_to_end.end_training_with_its_step(executor)
    runs, waits, other = ended(job()), ended(job(), "8"), ended(job("sample"), "9")
    executor.cancel_jobs([runs, waits, other])
    assert executor.cancelled_jobs == [waits, other]
    assert told_to_end.is_ending(executor), "none of them is submitted again"
    assert "--signal=TERM --state=RUNNING --verbose 7" in (tmp_path / "calls").read_text()


def test_the_verb_itself_is_found_among_the_processes_of_a_run(tmp_path: Path) -> None:
    script = tmp_path / "deepscaler"
    script.write_text("import time; time.sleep(60)")
    started = []
    of_runs = [("a", ["train_segment", "x"]), ("a", ["sample", "train_segment.log"]), ("b", ["train_segment"])]
    for token, words in of_runs:
        environment = {**os.environ, stale_locks.RUN: token}
        started.append(subprocess.Popen([sys.executable, str(script), *words], env=environment))
    shell = subprocess.Popen(
        ["bash", "-c", "sleep 60; train_segment"], env={**os.environ, stale_locks.RUN: "a"}, start_new_session=True
    )
    try:
        assert told_to_end.training_here("a") == [started[0].pid]
        assert told_to_end.training_here("") == []
    finally:
        for process in (*started, shell):
            process.kill()
            process.wait()


def test_a_script_outlives_sigterm_and_keeps_its_exit_code() -> None:
    """As SLURM sends it, to the shell as to what it runs."""

    class Writer:
        def format_job_exec(self, job: str) -> str:
            return job

    told_to_end.outlive_sigterm(Writer)
    ours = Writer()
    told_to_end.outlive_sigterm(ours)  # as of a class, so of an instance
    listens = "import signal, time; signal.signal(15, lambda *_: exit(7)); print('ready', flush=True); time.sleep(60)"
    command = f'{sys.executable} -c "{listens}"'
    script = subprocess.Popen(
        ["sh", "-s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert script.stdin is not None
    assert script.stdout is not None
    script.stdin.write(ours.format_job_exec(command))
    script.stdin.close()
    assert script.stdout.readline() == "ready\n"
    os.killpg(script.pid, signal.SIGTERM)
    assert script.wait(60) == 7


def test_the_step_of_a_job_has_such_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm_jobstep")
    monkeypatch.setattr(plugin.Executor, "format_job_exec", lambda self, job: f"snakemake {job}")
    told_to_end.outlive_sigterm_in_step()
    assert plugin.Executor.format_job_exec(None, "train") == "trap : TERM\nsnakemake train"
