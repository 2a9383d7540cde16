"""A rehearsal on two nodes, wholly: preflight of both, a kill and a resume, hand-over, export, samples, grades, GO.

Then it is broken. With the engines: a killed job that nobody starts again, and weights that do not reach the sampler.
On copies of this run's records, one thing each: every check says no go, by name.
"""

import csv
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkout import Checkout
from pair_run import add_scale

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]
HERE = Path(__file__).parent
SCALE, WHOLE = "tried", "whole"
LIMIT = 3000


def with_rehearsal(checkout: Checkout) -> Checkout:
    add_scale(checkout)
    config = checkout.folder / "config"
    for name, kind, source in (
        (WHOLE, "scales", "whole"),
        (SCALE, "scales", "scale"),
        (WHOLE, "recipes", "whole_recipe"),
        (SCALE, "recipes", "recipe"),
    ):
        shutil.copy(HERE / f"rehearsal/{source}.yaml", config / kind / f"{name}.yaml")
    return checkout


@pytest.fixture(scope="module")
def rehearsed(copy_checkout: Callable[[], Checkout]) -> Checkout:
    checkout = with_rehearsal(copy_checkout())
    done = checkout.snakemake(SCALE, "--jobs", "2", seconds=LIMIT)
    assert done.returncode == 0, done.stdout
    return checkout


def results(checkout: Checkout) -> Path:
    return checkout.folder / "results" / SCALE


def verdict_of(checkout: Checkout) -> tuple[str, list[str]]:
    record = json.loads((results(checkout) / "rehearsal.json").read_text())
    return record["verdict"], record["reasons"]


def test_it_ends_in_go(rehearsed: Checkout) -> None:
    assert verdict_of(rehearsed) == ("GO", [])
    assert (results(rehearsed) / "go.txt").read_text().startswith("GO: ")
    assert ">GO\n" in (results(rehearsed) / "report.html").read_text()


def test_every_path_was_gone(rehearsed: Checkout) -> None:
    with (results(rehearsed) / "checks.csv").open() as file:
        checks = {(row["check"], row["where"]): row["seen"] for row in csv.DictReader(file)}
    assert checks["kill and resume", "8k-1"] == "killed at step 1, resumed"
    assert checks["hand-over", "16k-1"] == "weights of 8k-1"
    assert checks["preflight", "8k"].startswith("2 ready: ")
    assert {"samples", "grades"} <= {check for check, where in checks if where == "deepscaler-16k"}
    phases = ("rollouts", "log-probabilities", "update", "sync", "save")
    assert {f"peak memory, {phase}" for phase in phases} <= {check for check, where in checks if where == "16k"}


def test_the_kill_was_one_lost_job(rehearsed: Checkout) -> None:
    log = (rehearsed.folder / f"logs/{SCALE}/train_segment/8k-1.log").read_text()
    assert "going on at step 1 of 2" in log
    attempts = [len(list(path.iterdir())) for path in sorted((work(rehearsed) / "runs").glob("*/logs"))]
    assert sorted(attempts) == [1, 2]


def test_nothing_is_left_to_do(rehearsed: Checkout) -> None:
    again = rehearsed.snakemake(SCALE)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout


def work(checkout: Checkout) -> Path:
    return checkout.folder / "work" / SCALE


@dataclass(frozen=True)
class Copy:
    """A copy of what the rehearsal left, to be broken in one place."""

    work: Path
    logs: Path

    def edit(self, pattern: str, change: Callable[[dict[str, object]], object]) -> None:
        """Change every row of every JSON or JSON Lines file; files keep their times, which say which is newest."""
        paths = sorted(self.work.glob(pattern))
        assert paths, pattern
        for path in paths:
            time = path.stat().st_mtime_ns
            text = path.read_text()
            lines = [text] if path.suffix == ".json" else text.splitlines()
            rows = [json.loads(line) for line in lines if line]
            kept = [row for row in rows if change(row) is not False]
            path.write_text("".join(json.dumps(row) + "\n" for row in kept))
            os.utime(path, ns=(time, time))


def phase(name: str, **values: float) -> Callable[[dict[str, object]], object]:
    def change(row: dict[str, object]) -> None:
        if row["phase"] == name:
            row.update(values)

    return change


def one_node(**values: object) -> Callable[[dict[str, object]], object]:
    return lambda record: record["nodes"][0].update(values)  # type: ignore[index]


def all_rows(**values: object) -> Callable[[Copy], None]:
    def change(copy: Copy) -> None:
        for folder in ("runs", "checkpoints"):
            copy.edit(f"{folder}/8k-1*/metrics.jsonl", lambda row: row.update(values))
        if "timing/step_total" in values:
            copy.edit("checkpoints/8k-1/times.jsonl", lambda row: row.update(values))

    return change


def without(pattern: str) -> Callable[[Copy], None]:
    def remove(copy: Copy) -> None:
        for path in copy.work.glob(pattern):
            path.unlink()

    return remove


def other_weights(pattern: str) -> Callable[[Copy], None]:
    def change(copy: Copy) -> None:
        (path,) = copy.work.glob(pattern)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)

    return change


def fewer_samples(copy: Copy) -> None:
    import pyarrow.parquet as parquet

    path = copy.work / "samples/pair-base/table-1of1.parquet"
    parquet.write_table(parquet.read_table(path).slice(1), path)


def long_jobs(copy: Copy) -> None:
    for path in copy.logs.glob("train_segment/8k-1.tsv"):
        head, row = path.read_text().splitlines()
        path.write_text(f"{head}\n" + "\t".join(["1e6", *row.split("\t")[1:]]) + "\n")


SABOTAGES: dict[str, tuple[Callable[[Copy], object], str]] = {
    "a node too slow": (lambda c: c.edit("preflight/8k-1.json", one_node(tflops=1e-6)), "slowest node (8k)"),
    "another processor": (lambda c: c.edit("preflight/8k-1.json", one_node(architecture="sm_61")), "architecture (8k)"),
    "a node missing": (lambda c: c.edit("preflight/16k-1.json", lambda r: r["nodes"].pop()), "preflight (16k)"),  # type: ignore[attr-defined]
    "no preflight": (without("preflight/8k-1.json"), "preflight (8k)"),
    "no kill": (without("runs/8k-1*/killed.json"), "kill and resume (8k-1)"),
    "no resume": (
        lambda c: c.edit("runs/8k-1*/measured/*.jsonl", lambda r: r["phase"] != "load"),
        "kill and resume (8k-1)",
    ),
    "damaged export": (other_weights("checkpoints/8k-1/model.safetensors"), "export (8k-1)"),
    "other weights handed over": (other_weights("runs/16k-1*/start/model.safetensors"), "hand-over (16k-1)"),
    "weights withheld": (all_rows(vllm_kl=0.12), "vllm_kl (8k)"),
    "a tensor withheld": (
        lambda c: c.edit("runs/8k-1*/weights.json", lambda r: r.update(differing=["model.norm.weight"])),
        "weight checksum (8k)",
    ),
    "weights not compared": (without("runs/16k-1*/weights.json"), "weight checksum (16k)"),
    "a reward killed": (all_rows(grading_killed=0.25), "reward killed (8k)"),
    "memory over the bound": (
        lambda c: c.edit("runs/8k-1*/measured/*.jsonl", phase("update", peak_gb=9.5)),
        "peak memory, update (8k)",
    ),
    "a slow step": (all_rows(**{"timing/step_total": 1e6}), "step time (8k)"),
    "a slow disk": (lambda c: c.edit("runs/8k-1*/measured/*.jsonl", phase("save", seconds=1e6)), "disk (8k)"),
    "a slow network": (lambda c: c.edit("runs/8k-1*/measured/*.jsonl", phase("sync", seconds=1e6)), "network (8k)"),
    "a sample missing": (fewer_samples, "samples (pair-base)"),
    "no grades": (without("grades/pair-base/table.parquet"), "grades (pair-base)"),
    "jobs longer than their wall time": (long_jobs, "wall time of a segment, 8k"),
}


@pytest.mark.parametrize("name", SABOTAGES)
def test_each_sabotage_is_a_no_go_by_name(rehearsed: Checkout, tmp_path: Path, name: str) -> None:
    copy = Copy(tmp_path / "work", tmp_path / "logs")
    shutil.copytree(work(rehearsed), copy.work, ignore=shutil.ignore_patterns("data", ".kept"))
    shutil.copytree(rehearsed.folder / "logs" / SCALE, copy.logs)
    breaks, reason = SABOTAGES[name]
    breaks(copy)
    record = judged(rehearsed, copy, tmp_path)
    assert record["verdict"] == "NO GO"
    assert [line.partition(":")[0] for line in record["reasons"] if line.startswith(reason)], record["reasons"]
    ended = rehearsed.deepscaler("require_go", "--record", str(tmp_path / "r.json"), "--output", str(tmp_path / "go"))
    assert ended.returncode == 1
    assert f"NO GO: {record['reasons'][0]}" in ended.stdout
    assert not (tmp_path / "go").exists()


def test_a_copy_that_is_whole_is_a_go(rehearsed: Checkout, tmp_path: Path) -> None:
    copy = Copy(work(rehearsed), rehearsed.folder / "logs" / SCALE)
    assert judged(rehearsed, copy, tmp_path)["reasons"] == []


def judged(checkout: Checkout, copy: Copy, out: Path) -> dict[str, list[str]]:
    files = {"--checks": "c.csv", "--record": "r.json", "--page": "p.html"}
    paths = [word for option, name in files.items() for word in (option, str(out / name))]
    done = checkout.deepscaler(
        "judge_rehearsal", "--scale", SCALE, "--work", str(copy.work), "--benchmarks", str(copy.logs), *paths
    )
    assert done.returncode == 0, done.stdout
    record: dict[str, list[str]] = json.loads((out / "r.json").read_text())
    return record


@pytest.fixture(scope="module")
def not_resumed(rehearsed: Checkout) -> str:
    """The same once more, without the retry that starts a killed job again; data, base and preflight stay."""
    for name in ("runs", "checkpoints", "samples", "grades"):
        shutil.move(work(rehearsed) / name, rehearsed.folder / "before" / name)
    shutil.move(results(rehearsed), rehearsed.folder / "before/results")
    ended = rehearsed.snakemake(SCALE, "--jobs", "2", "--retries", "0", seconds=LIMIT)
    assert ended.returncode == 1, ended.stdout
    return ended.stdout


def test_a_killed_job_that_nobody_starts_again_is_a_no_go(not_resumed: str, rehearsed: Checkout) -> None:
    verdict, reasons = verdict_of(rehearsed)
    assert verdict == "NO GO"
    assert [line for line in reasons if line.startswith("kill and resume (8k-1): killed at step 1, not resumed")]
    assert "rehearsal tried: NO GO" in not_resumed
    assert ">NO GO\n" in (results(rehearsed) / "report.html").read_text()


def test_weights_that_do_not_arrive_are_a_no_go(not_resumed: str, rehearsed: Checkout) -> None:
    withheld = str(HERE.parent / "mini" / "withheld")
    path = f"{withheld}{os.pathsep}{rehearsed.environment['PYTHONPATH']}"
    ended = rehearsed.snakemake(SCALE, "--jobs", "2", seconds=LIMIT, PYTHONPATH=path)
    assert ended.returncode == 1, ended.stdout
    verdict, reasons = verdict_of(rehearsed)
    assert verdict == "NO GO"
    assert [line for line in reasons if line.startswith(("vllm_kl (", "weight checksum ("))], reasons
