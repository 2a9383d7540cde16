"""What a person sees while jobs run: their progress, the time left, failures; in terminals of any width."""

import csv
import io
import re
import sys
import time
from dataclasses import replace

import pytest
from deepscaler.controller.console.failure import failure_of
from deepscaler.controller.console.job_watch import Run
from deepscaler.controller.console.jobs import Job
from deepscaler.controller.console.log_progress import progress_in, read_progress
from deepscaler.controller.console.region import Region
from deepscaler.controller.console.results import results_table
from deepscaler.controller.console.time_left import time_left
from deepscaler.controller.console.view import ASCII, UNICODE, View
from deepscaler.cost.job_seconds import job_seconds
from deepscaler.dag import segment
from deepscaler.progress import BytesBar, Lines, progress
from deepscaler.training.watch.progress_line import ProgressLines
from rich.console import Console


def job(number: int, expected: float, after: tuple[int, ...] = (), **given: object) -> Job:
    values = {"rule": "sample", "what": f"Sampling {number}", "phase": "evaluation", "scale": "mini", "log": None}
    return Job(number=number, expected=expected, after=frozenset(after), **{"asks": {"cores": 1}, **values, **given})


# how far a job is


def test_a_training_jobs_line_is_read():
    line = ProgressLines(segment("mini", "16k-1")).line({"step": 3, "rollout/reward_mean": 0.4531})
    found = progress_in(line)
    assert (found.done, found.total, found.count, found.detail) == (3, 12, "3/12 steps", "reward 0.453")


def test_our_bars_lines_are_read(monkeypatch, tmp_path):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with progress(total=3200, what="sampling", unit="sample") as bar:
        bar.set_postfix_str("11,034 tokens/s", refresh=False)
        bar.update(1600)
    (tmp_path / "log").write_text("INFO chatter\n" + log.getvalue() + "more chatter\n")
    found = read_progress(tmp_path / "log")
    assert (found.activity, found.share, found.count) == ("sampling", 0.5, "1,600/3,200 samples")
    assert found.detail == "11,034 tokens/s"


def test_bytes_of_a_download_are_read(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with BytesBar(total=3_554_214_752, unit="B", unit_scale=True, desc="Downloading bytes") as bar:
        bar.update(1_777_107_376)
    with BytesBar(total=3_554_214_752, unit="B", unit_scale=True, desc="Reconstructing") as hidden:
        hidden.update(1)
    lines = log.getvalue().splitlines()
    found = progress_in(lines[-1])
    assert (found.activity, found.count) == ("downloading", "1.78G/3.55GB")
    assert found.share == pytest.approx(0.5, abs=0.01)
    assert all("onstruct" not in line for line in lines)


@pytest.mark.parametrize(
    "line",
    ["", "score: 3/4", "a/b [c]", "http://x/1/2 [y]", "sampling: 0/0 sample [00:00<?]", "  5/7: 3/1,2.3.4 x [y]"],
)
def test_what_is_no_progress(line):
    assert progress_in(line) is None


def test_a_log_gets_a_line_a_second_at_first_and_then_every_ten(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    log = io.StringIO()
    lines = Lines(log)
    for tenth in range(6000):
        clock[0] = tenth / 10
        lines.write(f"\rstep {tenth}")
    lines.write("\n")
    seconds = [int(line.split()[1]) / 10 for line in log.getvalue().splitlines()]
    assert seconds[-1] == 599.9
    assert sum(second < 20 for second in seconds) >= 18
    assert 30 <= sum(second >= 240 for second in seconds) <= 38


# the time left


def test_a_chain_takes_the_sum_and_what_is_beside_it_nothing():
    jobs = {1: job(1, 10), 2: job(2, 20, (1,)), 3: job(3, 5)}
    assert time_left(jobs, {}, {}, {"cores": 2}, 0) == 30
    assert time_left(jobs, {}, {}, {"cores": 1}, 0) == 35


def test_jobs_that_want_the_one_gpu_take_turns():
    jobs = {n: job(n, 10, asks={"cores": 1, "gpus": 1}) for n in range(3)}
    assert time_left(jobs, {}, {}, {"cores": 8, "gpus": 1}, 0) == 30
    assert time_left(jobs, {}, {}, {"cores": 8, "gpus": 3}, 0) == 10
    large = {1: job(1, 10, asks={"cores": 2, "mem_mb": 20_000})}
    assert time_left(large, {}, {}, {"cores": 1, "mem_mb": 10_000}, 0) == 10


def test_on_a_cluster_only_what_waits_for_another_adds_up():
    jobs = {n: job(n, 10, asks={}) for n in range(50)} | {50: job(50, 10, (1,), asks={})}
    assert time_left(jobs, {}, {}, {}, 0) == 20


def test_a_faster_machine_corrects_the_plan():
    """Half of the jobs took 1.9 times less than planned: so do the others, also those of other rules."""
    done = {n: replace(job(n, 19), state="done", started=0.0, ended=10.0) for n in range(10)}
    left = {n: job(n, 19, asks={"cores": 1}) for n in range(10, 20)} | {20: job(20, 19, rule="train_segment")}
    found = time_left(done | left, {}, {}, {"cores": 1}, 100)
    assert 110 <= found < 125
    assert time_left(left, {}, {}, {"cores": 1}, 0) == 11 * 19


def test_a_running_job_is_as_fast_as_its_own_log_says(tmp_path):
    log = tmp_path / "a.log"
    run = Run({1: job(1, 1000, log=log, asks={"cores": 1})}, {"cores": 1})
    run.start([1], 0.0)
    for second in range(1, 11):
        log.write_text(f"sampling: {second * 10}/200 sample [00:10<00:24, 90.7sample/s]\n" + " " * second)
        run.look(float(second))
    assert 9 <= run.estimate(10.0) <= 11


def test_longer_than_planned_is_never_nothing_left():
    late = replace(job(1, 10, asks={"cores": 1}), state="running", started=0.0)
    assert time_left({1: late}, {}, {}, {"cores": 1}, 500) >= 50


@pytest.mark.parametrize("scale", ["mini", "released", "paper"])
def test_every_job_of_every_scale_has_a_price(scale):
    from deepscaler import dag, settings

    for system, suite in dag.scored(scale):
        assert job_seconds(scale, "sample", None, system, suite) > 1
    for piece in dag.segments(scale):
        assert job_seconds(scale, "train_segment", piece.id) > 1
    assert job_seconds(scale, "score") > 0
    if settings.load_scale(scale).training:
        total = sum(job_seconds(scale, "train_segment", piece.id) for piece in dag.segments(scale))
        from deepscaler.cost.planned import planned_gpu_hours

        if scale == "mini":
            assert total / 3600 == pytest.approx(planned_gpu_hours(scale)["train_segment", "all"].expected)


# the states of jobs


def test_a_job_of_slurm_runs_once_its_log_is_written(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("of the attempt before\n")
    run = Run({1: job(1, 10, log=log, asks={})})
    run.start([1], 0.0)
    run.look(50.0)
    assert run.counts() == {"submitted": 1}
    log.write_text("of this one, which has begun\n")
    run.look(60.0)
    assert run.counts() == {"running": 1}
    assert run.jobs[1].seconds(70.0) == 10


def test_a_failed_job_that_is_started_again_is_no_failure():
    run = Run({1: job(1, 10)})
    run.start([1], 0.0)
    run.fail(1, 1.0)
    assert run.start([1], 2.0) == 1
    assert run.finish(1, 5.0).seconds(9.0) == 3
    assert run.finish(1, 6.0) is None


# how it looks


def a_run(count: int = 40) -> Run:
    run = Run({n: job(n, 10, what="Sampling ünïcode · of a rather long name, shard 1 of 1") for n in range(count)})
    run.start(list(range(count // 2)), 0.0)
    run.finish(0, 3.0)
    run.look(4.0)
    return run


@pytest.mark.parametrize("signs", [UNICODE, ASCII])
@pytest.mark.parametrize("columns", [12, 20, 40, 59, 60, 80, 120, 200, 400])
@pytest.mark.parametrize("rows", [3, 5, 10, 24])
def test_the_region_fits_any_terminal(signs, columns, rows):
    lines = View(signs).region(a_run(), 7.0, columns, rows)
    assert len(lines) <= max(rows, 3)
    assert all(line.cell_len < columns for line in lines)
    assert any("jobs"[:2] in line.plain for line in lines) or columns < 20


def test_it_says_what_is_done_of_what_and_what_is_not_shown():
    said = "\n".join(line.plain for line in View(UNICODE).region(a_run(), 7.0, 100, 12))
    assert "1 of 40 jobs" in said
    assert "left" in said
    assert "evaluation 1/40" in said
    assert re.search(r"… \d+ more running", said)


def test_without_unicode_nothing_else_is_drawn():
    lines = View(ASCII).region(a_run(), 7.0, 100, 24)
    assert all(set(line.plain) <= set(map(chr, range(32, 127))) | set("üï") for line in lines)


def test_a_narrower_terminal_is_taken_into_account(monkeypatch):
    out = io.StringIO()
    region = Region(out)
    width = [100]
    monkeypatch.setattr("deepscaler.controller.console.region.size", lambda stream: (width[0], 24))
    region.draw(["x" * 99, "y" * 30])
    assert "\x1b[1A" in region.to_start()
    width[0] = 50
    assert "\x1b[2A" in region.to_start()  # two lines and one: the first is wrapped
    region.clear()
    assert region.to_start() == ""


def test_no_code_of_the_region_hides_the_cursor_or_changes_a_mode():
    out = io.StringIO()
    region = Region(out)
    region.draw(["a", "b"], "above\n")
    region.draw(["c"])
    codes = set(re.findall(r"\x1b\[[0-9;?]*[A-Za-z]", out.getvalue()))
    assert codes <= {"\x1b[J", "\x1b[K", "\x1b[1A"}


# failures


KILLED = "killed by signal 9 (SIGKILL): out of memory"
STATUS = "Command 'x' returned non-zero exit status {}."
SLURM = "SLURM-job '5' failed, SLURM status is: '{}'."
TIME_LIMIT = "slurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***\n"


@pytest.mark.parametrize(
    ("log", "said", "why", "advice"),
    [
        ("step 3/12\n", STATUS.format(137), f"{KILLED}?", "mem_mb"),
        ("", "Command 'x' died with <Signals.SIGKILL: 9>.", f"{KILLED}?", "mem_mb"),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=5.0\n", STATUS.format(137), KILLED, "mem_mb"),
        ("", STATUS.format(135), "killed by signal 7 (SIGBUS): /dev/shm or a disk is full?", "make room"),
        ("OSError: [Errno 28] No space left on device: 'x'\n", STATUS.format(1), "a disk is full", "make room"),
        ("OSError: [Errno 122] Disk quota exceeded\n", STATUS.format(1), "your disk quota is used up", "quota -s"),
        ("torch.OutOfMemoryError: CUDA out of memory.\n", STATUS.format(1), "the GPU's memory is full", "max_tokens"),
        ("", SLURM.format("TIMEOUT"), "its wall time ran out", "minutes"),
        ("", SLURM.format("PREEMPTED"), "preempted by another job", "goes on"),
        ("", SLURM.format("OUT_OF_MEMORY"), "out of memory", "resources.train_segment.mem_mb"),
        ("", SLURM.format("NODE_FAIL"), "its node failed", "goes on"),
        (TIME_LIMIT, "", "its wall time ran out", "minutes"),
        ("ValueError: bad\n", STATUS.format(1), None, "mend the cause"),
    ],
)
def test_why_a_job_ended(tmp_path, log, said, why, advice):
    path = tmp_path / "a.log"
    path.write_text(log)
    found = failure_of("train_segment", "Training", [str(path)], said)
    assert found.why == why
    assert advice in found.advice


def test_an_error_of_ours_needs_no_guess(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("deepscaler: no such model [x.json]. Hint: fetch it first\n")
    found = failure_of("sample", "Sampling", [str(path)], STATUS.format(2))
    assert (found.why, found.last, found.advice) == (None, "no such model [x.json].", "fetch it first")


def test_what_sbatch_refuses_is_the_cause():
    said = "SLURM sbatch failed. The error message was 'sbatch: error: invalid account'"
    assert "invalid account" in failure_of("sample", "Sampling", [], said).why


def test_messages_do_not_become_markup():
    out = io.StringIO()
    view = View(UNICODE)
    found = failure_of("sample", "Sampling [red]x[/red]", [], "")
    for line in view.failed(found):
        Console(file=out, markup=False, highlight=False).print(line)
    assert "Sampling [red]x[/red]" in out.getvalue()


@pytest.mark.parametrize("columns", [60, 80, 110, 200])
@pytest.mark.parametrize("plain", [False, True])
def test_the_table_at_the_end_fits_and_loses_no_number(root, columns, plain):
    out = io.StringIO()
    table = results_table("mini", root / "results/reference/mini/table.csv", columns, plain)
    Console(file=out, width=columns).print(table)
    assert max(map(len, out.getvalue().splitlines())) <= columns
    with (root / "results/reference/mini/table.csv").open() as handle:
        for row in csv.DictReader(handle):
            [line] = [line for line in out.getvalue().splitlines() if row["model"] in line]
            assert f"{float(row['aime_2024']):.1f}" in line
            assert f"{float(row['average']):.1f}" in line
    assert out.getvalue().isascii() or not plain


def test_there_is_no_table_of_what_cannot_be_read(tmp_path):
    assert results_table("mini", tmp_path / "table.csv", 80, False) is None
    (tmp_path / "table.csv").write_text("")
    assert results_table("mini", tmp_path / "table.csv", 80, False) is None
