"""The ledger: what jobs took, added up by rule and stage."""

import csv
import os
from pathlib import Path

import pytest
from deepscaler.errors import UserError
from deepscaler.reporting.claims.results import Results
from deepscaler.reporting.compute.account_compute import Job, account_compute, ledger, planned_hours, read_jobs


def rows_of(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["rule"], row["stage"]): row for row in csv.DictReader(path.open(encoding="utf-8"))}


def entries_of(scale: str, jobs: list[Job], folder: Path) -> dict[tuple[str, str], float]:
    return {(entry.rule, entry.stage): entry.gpu_hours for entry in ledger(scale, jobs, Results(scale, folder))}


def test_rows_add_up(run: Path) -> None:
    output = run / "results/mini/compute.csv"
    account_compute(scale="mini", benchmarks=run / "logs/mini", output=output)
    rows = rows_of(output)
    assert [key for key in rows if key[0] == "train_segment"] == [
        ("train_segment", stage) for stage in ("8k", "16k", "24k", "all")
    ]
    for column in ("wall_hours", "core_hours", "jobs"):
        parts = [float(row[column]) for key, row in rows.items() if key[0] != "total" and key[1] != "all"]
        assert float(rows["total", ""][column]) == pytest.approx(sum(parts), abs=1e-3)
    assert float(rows["distill_base", ""]["wall_hours"]) == pytest.approx(120 / 3600, abs=1e-4)
    assert float(rows["distill_base", ""]["cpu_hours"]) == pytest.approx(180.5 / 3600, abs=1e-4)
    assert float(rows["distill_base", ""]["peak_memory_gb"]) == 1.5, "shared pages once"
    assert float(rows["distill_base", ""]["core_hours"]) == pytest.approx(120 / 3600, abs=1e-4)
    assert rows["total", ""]["gpu_hours"] == "0.0000", "two CPU cores hold no GPU"


def test_the_run_took_from_its_first_start_to_its_last_end(run: Path) -> None:
    for order, path in enumerate(sorted((run / "logs/mini").glob("*/*.tsv"))):
        os.utime(path, (1_000_000 + order, 1_000_000 + order))
    os.utime(run / "logs/mini/distill_base/mini-base.tsv", (996_400, 996_400))  # an hour before the others; took 120 s
    account_compute(scale="mini", benchmarks=run / "logs/mini", output=run / "compute.csv")
    last = max(path.stat().st_mtime for path in (run / "logs/mini").glob("*/*.tsv"))
    total = rows_of(run / "compute.csv")["total", ""]
    assert float(total["elapsed_hours"]) == pytest.approx((last - (996_400 - 120)) / 3600, abs=1e-3)


def test_what_could_not_be_measured_is_empty_and_not_zero(run: Path) -> None:
    jobs = [job for job in read_jobs("mini", run / "logs/mini") if job.rule == "sample"]
    assert len(jobs) == 5
    assert {job.cpu_seconds for job in jobs} == {None}
    account_compute(scale="mini", benchmarks=run / "logs/mini", output=run / "compute.csv")
    rows = rows_of(run / "compute.csv")
    assert rows["sample", ""]["cpu_hours"] == ""
    measured = sum(float(row["cpu_hours"] or 0) for key, row in rows.items() if key[0] != "total" and key[1] != "all")
    assert float(rows["total", ""]["cpu_hours"]) == pytest.approx(measured, abs=1e-3)


def test_a_job_of_which_only_the_start_was_seen_was_not_measured(tmp_path: Path) -> None:
    """As Snakemake measures a job of a fifth of a second: the 3 MB of its shell, and no processor time."""
    folder = tmp_path / "collect_metrics"
    folder.mkdir()
    head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"
    row = "0.21\t0:00:00\t2.90\t3.85\t0.27\t0.62\t0.00\t0.00\t0.00\t0.00"
    (folder / "all.tsv").write_text(f"{head}\n{row}\n", encoding="utf-8")
    [job] = read_jobs("mini", tmp_path)
    assert (job.seconds, job.cpu_seconds, job.peak_mb) == (0.21, None, None)


def test_steps_before_a_kill_count(run: Path) -> None:
    """The benchmark file is of the run that finished the job; the steps that it had made before are in training.csv."""
    jobs = [Job("train_segment", "8k", 0, 10, 10, 100)]
    hours = [e.wall_hours for e in ledger("mini", jobs, Results("mini", run / "results/mini")) if e.stage == "8k"]
    assert hours == [pytest.approx(12 * 5 / 3600)]


def test_gpu_hours_are_of_all_gpus_of_all_nodes(tmp_path: Path) -> None:
    took = {
        ("train_segment", "8k"): 3600,
        ("train_segment", "16k"): 7200,
        ("sample", ""): 3600,
        ("grade_samples", ""): 60,
    }
    jobs = [Job(rule, stage, 0, seconds, 0, 1) for (rule, stage), seconds in took.items()]
    hours = entries_of("paper", jobs, tmp_path)
    assert hours["train_segment", "8k"] == 8
    assert hours["train_segment", "16k"] == 2 * 32
    assert hours["train_segment", "all"] == 8 + 64
    assert hours["sample", ""] == 1
    assert hours["grade_samples", ""] == 0
    assert hours["total", ""] == 8 + 64 + 1


def test_dollars_plan_and_paper_stand_beside(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "train_segment"
    folder.mkdir(parents=True)
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    (folder / "8k-1.tsv").write_text(header + "36000\t10:00:00\t1\t1\t1\t1\t1\t1\t1\t1\n", encoding="utf-8")
    account_compute(scale="paper", benchmarks=tmp_path / "logs", output=tmp_path / "compute.csv")
    row = rows_of(tmp_path / "compute.csv")
    assert float(row["train_segment", "8k"]["dollars"]) == pytest.approx(80 * 1.18)
    assert row["train_segment", "all"]["paper_gpu_hours"] == "3800"
    planned = planned_hours("paper")
    assert float(row["train_segment", "all"]["planned_gpu_hours"]) == pytest.approx(
        planned["train_segment", "all"][1], abs=1e-3
    )
    stages = [planned["train_segment", stage] for stage in ("8k", "16k", "24k")]
    assert planned["train_segment", "all"][1] == pytest.approx(sum(gpu for _, gpu in stages))
    assert stages[0][1] == pytest.approx(8 * stages[0][0])
    assert stages[1][1] == pytest.approx(32 * stages[1][0])


def test_no_measurements_is_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no benchmark files"):
        account_compute(scale="mini", benchmarks=tmp_path, output=tmp_path / "compute.csv")
    assert not (tmp_path / "compute.csv").exists()
