"""What is done with Snakemake's objects before the first sbatch; tests/slurm does it with a real DAG."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deepscaler.controller import before_submission, stale_locks, told_to_end
from deepscaler.controller.slurm_requests import SHOWN_FROM
from deepscaler.errors import UserError
from snakemake.iocontainers import ResourceList
from snakemake.logging import logger

plugin = pytest.importorskip("snakemake_executor_plugin_slurm")

SBATCH = """#!/bin/sh
echo "$@" >> {log}
echo "sbatch: error: {refusal}" >&2
exit {code}
"""
SQUEUE = """#!/bin/sh
[ -e {left} ] && rm {left} && echo "7|{state}|{folder}|rule_score_wildcards_mini"
exit 0
"""


def job(rule: str, *wildcards: str, local: bool = False, group: str | None = None, **asked: object) -> Any:
    """What is read of Snakemake's jobs."""
    named = SimpleNamespace(name=rule)
    resources = ResourceList(fromdict={"mem_mb": 8000, "runtime": 60, **asked})
    return SimpleNamespace(
        rule=named,
        name=rule,
        wildcards=wildcards,
        is_local=local,
        group=group,
        threads=2,
        resources=resources,
        is_group=lambda: False,
    )


def group(name: str, **asked: object) -> Any:
    """What is read of a group's."""
    whole = job("", **asked)
    whole.groupid, whole.name, whole.is_group = name, f"{name}_score", lambda: True
    del whole.rule
    return whole


def executor_of(settings: Any = None) -> Any:
    """An executor of the plugin's that asks SLURM for nothing."""
    executor = object.__new__(plugin.Executor)
    executor.workflow = SimpleNamespace(workdir_init="/here", executor_settings=settings)
    executor._partitions, executor._fallback_partition, executor._fallback_account_arg = None, "cpu", ""
    return executor


class Groups:
    """Job → its group, of the jobs that are to run alone, as Snakemake has it."""

    def __init__(self, jobs: list[Any], groups: list[Any]) -> None:
        self.of = {id(job): group for job, group in zip(jobs, groups, strict=True) if group}

    def __getitem__(self, job: Any) -> Any:
        return self.of[id(job)]


def workflow_of(jobs: list[Any], lock: Path, groups: list[Any] | None = None) -> Any:
    persistence = SimpleNamespace(_lockfile={"output": str(lock)})
    of = [next(whole for whole in groups or [] if whole.groupid == job.group) if job.group else None for job in jobs]
    dag = SimpleNamespace(needrun_jobs=lambda: jobs, _group=Groups(jobs, of))
    scheduler = SimpleNamespace(_executor=executor_of())
    return SimpleNamespace(dag=dag, persistence=persistence, scheduler=scheduler, tear_down=lambda: None)


@pytest.fixture
def slurm(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Programs named as SLURM's clients, a work folder and a place for notes; returns a function that writes them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(root))
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
    assert flags(log) == [
        "-p cpu -t 60 --mem 8000 --ntasks=1 --cpus-per-task=2 -D /here --test-only /dev/stdin",
        "-p cpu -t 60 --mem 8000 --cpus-per-task=2 -D /here --gres=gpu:1 --test-only /dev/stdin",
    ]
    [note] = (tmp_path / "notes").iterdir()
    assert str(tmp_path / "0.output.lock") in note.read_text()


def flags(log: Path) -> list[str]:
    return [line.partition(SHOWN_FROM)[2].strip() for line in log.read_text().splitlines()]


def test_jobs_that_are_submitted_as_a_group_are_put_to_slurm_as_one(slurm: Any, tmp_path: Path) -> None:
    log = slurm()
    jobs = [job("grade_samples", "mini", group="grades"), job("score", "mini", group="grades")]
    whole = group("grades", runtime=120, mem_mb=16000)
    before_submission.check_cluster(workflow_of(jobs, tmp_path / "0.output.lock", [whole]))
    assert flags(log) == ["-p cpu -t 120 --mem 16000 --ntasks=1 --cpus-per-task=2 -D /here --test-only /dev/stdin"]


def test_memory_can_be_asked_for_as_a_share_of_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "get_submit_command", plugin.get_submit_command)  # put back at the end
    before_submission.ask_for_memory_per_cpu()
    call = before_submission.call_of(executor_of(), job("score", mem_mb=8001))
    assert " --mem-per-cpu 4001 " in call
    assert " --mem " not in call
    assert " --mem-per-cpu 500 " in before_submission.call_of(executor_of(), job("score", mem_mb_per_cpu=500))


def test_what_the_plugin_refuses_is_said_before_the_first_job() -> None:
    with pytest.raises(UserError, match=r"does not submit score: .*--mem"):
        before_submission.call_of(executor_of(), job("score", slurm_extra="--mem=5"))


def test_why_a_group_was_not_submitted_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake drops the plugin's message where it is of a group; the plugin's own handler raises for one."""
    said: list[str] = []
    executor = executor_of()
    executor.logger = SimpleNamespace(error=lambda *_, **__: None)
    executor.slurm_logdir = None  # the plugin's run_job fails at once
    executor._report_job_error_threadsafe = lambda info, msg: executor.print_job_error(info, msg)
    monkeypatch.setattr(logger, "error", said.append)
    before_submission.report_failed_groups(executor)
    whole = group("grades")
    whole.log_error = lambda *_, **__: None
    executor.run_job(whole)
    [line] = said
    assert line.startswith("Error in group grades: Job submission failed: 'NoneType'")


@pytest.mark.parametrize(
    ("state", "no_requeue", "failed"),
    [("PREEMPTED", True, True), ("PREEMPTED", False, False), ("RUNNING", True, False), ("CANCELLED", False, True)],
)
def test_a_preempted_job_counts_as_ended_where_slurm_does_not_start_it_again(
    slurm: Any, monkeypatch: pytest.MonkeyPatch, state: str, no_requeue: bool, failed: bool
) -> None:
    """By the plugin's own check of its jobs, which would go on waiting for this one."""
    slurm(state=state)
    monkeypatch.setattr(plugin, "query_job_status", plugin.query_job_status)  # put back at the end
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: 300)
    asked = SimpleNamespace(status_attempts=1, status_command="squeue", no_requeue=no_requeue, requeue=False)
    executor, errors = executor_of(asked), []
    executor.status_rate_limiter, executor.run_uuid, executor.logger = contextlib.AsyncExitStack(), "run", logger
    executor.next_seconds_between_status_checks = 20
    executor._preemption_warning = True  # given at the first check
    executor._status_query_calls = executor._status_query_failures = executor._status_query_total_seconds = 0
    executor._status_query_min_seconds, executor._status_query_max_seconds = None, 0.0
    executor._status_query_cycle_rows = []
    executor.report_job_error = lambda info, msg, **_: errors.append(msg)
    preempted: set[str] = set()
    told_to_end.note_preempted_jobs(executor, preempted)
    submitted = plugin.SubmittedJobInfo(job("score"), external_jobid="7", aux={"slurm_logfile": None})

    async def check() -> list[Any]:
        return [info async for info in executor.check_active_jobs([submitted])]

    assert asyncio.run(check()) == ([] if failed else [submitted])
    assert len(errors) == failed
    assert preempted == ({"7"} if no_requeue and state == "PREEMPTED" else set())


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
    answers = iter([300, None])
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: next(answers))
    before_submission.pin_min_job_age()
    assert [plugin.get_min_job_age(), plugin.get_min_job_age()] == [300, 300]


def test_without_an_answer_the_plugin_asks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([None, 300])
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: next(answers))
    before_submission.pin_min_job_age()
    assert plugin.get_min_job_age() == 300
