"""A failed job is named with its log and the log's last useful line; misspelt targets are refused."""

import pytest
from deepscaler.controller import failed_jobs
from deepscaler.controller.targets import check_targets, scale_in
from deepscaler.errors import UserError

SNAKEMAKE_LOG = """\
Building DAG of jobs...
[Sun Nov 22 10:00:00 2026]
Error in rule sample:
    message: Sampling mini-base on suite table, shard 1 of 1
    jobid: 7
    input: work/mini/models/mini-base/model.json
    output: work/mini/samples/mini-base/table-1of1.parquet
    log: {log} (check log file(s) for error details)
    shell:
        deepscaler sample --scale mini 2>&1 | tee {log}
        (command exited with non-zero exit code)
Removing output files of failed job sample since they might be corrupted:
"""


@pytest.fixture
def logs(tmp_path):
    log = tmp_path / "sample.log"
    run = tmp_path / "snakemake.log"
    run.write_text(SNAKEMAKE_LOG.format(log=log))
    return run, log


def test_the_line_for_people_is_found_among_chatter(logs):
    run, log = logs
    log.write_text(
        "INFO starting\ndeepscaler: no such model [x.json]. Hint: fetch it\nsampling:  40%|####      | 4/10\n\n"
    )
    assert failed_jobs.describe(run) == [
        f"sample failed: deepscaler: no such model [x.json]. Hint: fetch it (all of it: {log})"
    ]


def test_of_a_line_that_was_written_over_the_end_counts(logs):
    run, log = logs
    log.write_text("step 1\rstep 2\rValueError: bad\n")
    assert "ValueError: bad (all" in failed_jobs.describe(run)[0]


@pytest.mark.parametrize("text", ["", "\n\n", None])
def test_an_empty_or_missing_log_is_said_to_be_so(logs, text):
    run, log = logs
    if text is not None:
        log.write_text(text)
    assert "its log is empty" in failed_jobs.describe(run)[0]


def test_a_long_log_is_read_from_its_end(logs):
    run, log = logs
    log.write_text("x" * 10_000_000 + "\nOutOfMemoryError\n")
    assert "OutOfMemoryError" in failed_jobs.describe(run)[0]


def test_a_run_without_failures_has_nothing_to_say(tmp_path):
    (tmp_path / "log").write_text("Nothing to be done\n")
    assert failed_jobs.describe(tmp_path / "log") == []


REFUSED = """\
SLURM sbatch failed. The error message was 'sbatch: error: no
sbatch: error: --mem here'.
    sbatch call:
        sbatch -t 5
"""
GROUP_LOG = """\
Error in group grades: {message}
[Sun Nov 22 10:00:00 2026]
    message: Error in group grades
{log}    jobs:
        rule score:
            jobid: 1
            log: logs/score.log (check log file(s) for error details)
    [Sun Nov 22 10:00:00 2026]
    Error in rule score:
        message: None
        log: logs/score.log (check log file(s) for error details)
"""


def test_of_a_group_the_job_that_failed_is_named(logs):
    run, log = logs
    log.write_text("ValueError: bad\n")
    slurm = run.with_name("slurm 11.log")
    slurm.write_text("[…]\nFinished jobid: 0 (Rule: grade_samples)\n" + 2 * SNAKEMAKE_LOG.format(log=log))
    aux = f"    log: {slurm} (check log file(s) for error details)\n"
    run.write_text(2 * GROUP_LOG.format(message="SLURM-job '11' failed, SLURM status is: 'FAILED'.", log=aux))
    assert failed_jobs.describe(run) == [f"sample failed: ValueError: bad (all of it: {log}), in group grades"]


def test_of_a_group_that_slurm_ended_its_reason_is_said(logs):
    run, _ = logs
    slurm = run.with_name("11.log")
    slurm.write_text("rule score:\n")
    aux = f"    log: {slurm} (check log file(s) for error details)\n"
    run.write_text(GROUP_LOG.format(message="SLURM-job '11' failed, SLURM status is: 'TIMEOUT'.", log=aux))
    said = f"group grades failed: SLURM-job '11' failed, SLURM status is: 'TIMEOUT'. (all of it: {slurm})"
    assert failed_jobs.describe(run) == [said]


def test_what_sbatch_refuses_is_said(logs):
    run, _ = logs
    job = SNAKEMAKE_LOG.replace("message: Sampling mini-base on suite table, shard 1 of 1\n", f"message: {REFUSED}")
    run.write_text(job.format(log="sample.log") + GROUP_LOG.format(message=REFUSED, log=""))
    said = "failed: sbatch refused it: no; --mem here"
    assert failed_jobs.describe(run) == [f"sample {said}", f"group grades {said}"]


RULES = ["mini", "paper", "tabulate"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["snakemake", "minni"], "did you mean 'mini'?"),
        (["snakemake", "results/papr/table.csv"], "did you mean 'paper'?"),
        (["snakemake", "--cores", "2", "results/mini/table.csv", "work/relased/x"], "did you mean 'released'?"),
    ],
)
def test_misspelt_targets_are_refused(arguments, said):
    with pytest.raises(UserError, match=said.replace("?", r"\?")):
        check_targets(arguments, RULES)


@pytest.mark.parametrize(
    "arguments",
    [
        ["snakemake", "mini", "-n"],
        ["snakemake", "--profile", "profiles/laptop", "--cores", "2", "mini"],
        ["snakemake", "results/table.csv"],
        ["snakemake", "--config", "a=b", "paper"],
        ["snakemake", "results/mini/table.csv", "--rerun-triggers", "mtime"],
        ["snakemake", "--rerun-triggers", "mtime", "params", "--quiet", "all", "rules", "--", "mini"],
        ["python", "-m", "pytest"],
    ],
)
def test_what_is_well_typed_passes(arguments):
    check_targets(arguments, RULES)


def test_paths_know_their_scale():
    assert scale_in("results/mini/figures/figure-1.png") == "mini"
    assert scale_in("results/table.csv") is None
    assert scale_in("docs/plan.md") is None
