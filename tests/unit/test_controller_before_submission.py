"""What is done with Snakemake's objects before the first sbatch; tests/slurm does it with a real DAG."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deepscaler.controller import before_submission, stale_locks

SBATCH = """#!/bin/sh
echo "$@" >> {log}
echo "sbatch: error: {refusal}" >&2
exit {code}
"""
SQUEUE = """#!/bin/sh
[ -e {left} ] && rm {left} && echo "7|{state}|{folder}|rule_score_wildcards_mini"
exit 0
"""


def job(rule: str, *wildcards: str, local: bool = False, group: str | None = None, **resources: object) -> Any:
    """What is read of Snakemake's jobs."""
    named = SimpleNamespace(name=rule)
    return SimpleNamespace(
        rule=named, wildcards=wildcards, is_local=local, group=group, threads=2, resources={"mem_mb": 8000, **resources}
    )


def workflow_of(jobs: list[Any], lock: Path) -> Any:
    persistence = SimpleNamespace(_lockfile={"output": str(lock)})
    return SimpleNamespace(
        dag=SimpleNamespace(needrun_jobs=lambda: jobs), persistence=persistence, tear_down=lambda: None
    )


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Programs named as SLURM's clients, a work folder and a place for notes; returns a function that writes them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(before_submission.slurm_requests, "check_work", lambda: tmp_path)
    monkeypatch.setattr(before_submission.slurm_requests.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(before_submission, "pin_min_job_age", lambda: None)
    monkeypatch.setattr(stale_locks.announce, "__defaults__", (tmp_path / "notes",))
    monkeypatch.chdir(tmp_path)

    def write(code: int = 0, refusal: str = "", state: str | None = None) -> Path:
        log, left = tmp_path / "sbatch.log", tmp_path / "left"
        if state:
            left.touch()
        programs = {
            "sbatch": SBATCH.format(log=log, refusal=refusal, code=code),
            "squeue": SQUEUE.format(left=left, state=state, folder=tmp_path),
            "scancel": "#!/bin/sh\nexit 0\n",
        }
        for name, text in programs.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        (tmp_path / "0.output.lock").write_text("table.csv\n")
        return log

    return write


def test_every_kind_of_job_is_put_to_slurm_and_local_ones_are_not(slurm: Any, tmp_path: Path) -> None:
    log = slurm()
    jobs = [job("score", "mini"), job("score", "paper"), job("sample", gpus=1, gres="gpu:1"), job("mini", local=True)]
    before_submission.check_cluster(workflow_of(jobs, tmp_path / "0.output.lock"))
    assert log.read_text().splitlines() == [
        "--test-only --mem=8000 --cpus-per-task=2 --wrap=true",
        "--test-only --mem=8000 --cpus-per-task=2 --gres=gpu:1 --wrap=true",
    ]
    [note] = (tmp_path / "notes").iterdir()
    assert str(tmp_path / "0.output.lock") in note.read_text()


def test_a_refusal_is_an_error_of_snakemakes(slurm: Any, tmp_path: Path) -> None:
    from snakemake.exceptions import WorkflowError

    slurm(code=1, refusal="Invalid qos specification")
    with pytest.raises(WorkflowError, match=r"would refuse score.*Invalid qos"):
        before_submission.check_cluster(workflow_of([job("score", "mini")], tmp_path / "0.output.lock"))


@pytest.mark.parametrize(("state", "again"), [("RUNNING", True), ("PENDING", False)])
def test_after_a_job_that_ran_on_the_command_starts_again(
    slurm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, again: bool
) -> None:
    """A pending one is cancelled, and has made nothing."""
    slurm(state=state)
    started: list[list[str]] = []
    monkeypatch.setattr(before_submission.os, "execv", lambda program, arguments: started.append(arguments))
    before_submission.check_cluster(workflow_of([job("score", "mini")], tmp_path / "0.output.lock"))
    assert started == ([[sys.executable, *sys.orig_argv[1:]]] if again else [])


def test_the_plugin_gets_one_answer_for_all_its_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm")
    answers = iter([300, None])
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: next(answers))
    before_submission.pin_min_job_age()
    assert [plugin.get_min_job_age(), plugin.get_min_job_age()] == [300, 300]


def test_without_an_answer_the_plugin_asks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm")
    answers = iter([None, 300])
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: next(answers))
    before_submission.pin_min_job_age()
    assert plugin.get_min_job_age() == 300
