"""Which rules run again when a setting changes, and what Snakemake says of it: dry runs on a finished mini."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

RULES = {
    "fetch_source", "extract_answers", "deduplicate", "fetch_benchmark", "decontaminate", "select_gradable",
    "summarise_curation", "schedule_prompts", "distill_base", "preflight", "train_segment", "collect_metrics", "sample",
    "grade_samples", "score", "tabulate", "draw_figure", "account_compute", "resolve_settings",
}  # fmt: skip
READERS = {"check_claims", "record_provenance", "write_report"}
"""They read the recorded settings, so that any change reaches them."""
TRAINED = {"train_segment", "collect_metrics", "sample", "grade_samples", "score", "tabulate", "draw_figure",
           "account_compute"}  # fmt: skip
SAMPLED = {"sample", "grade_samples", "score", "tabulate", "draw_figure", "account_compute"}
SCHEDULED = {"schedule_prompts", *TRAINED}
CURATED = {"deduplicate", "decontaminate", "select_gradable", "summarise_curation", *SCHEDULED}
LEDGER = {"account_compute"}

Start = Callable[..., str]


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which Snakemake takes mini for finished: its files are there, empty, and recorded as made."""
    folder = tmp_path_factory.mktemp("finished")
    for name in ("config", "envs", "profiles", "workflow/rules", "workflow/notebooks", "workflow/report"):
        shutil.copytree(root / name, folder / name)
    shutil.copyfile(root / "Snakefile", folder / "Snakefile")
    rows = snakemake(folder, "mini", "--summary", "--forceall").splitlines()
    for path in (folder / row.split("\t")[0] for row in rows if row.startswith(("work/", "results/"))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    snakemake(folder, "mini", "--touch", "--forceall", "--cores", "1")
    assert again(folder) == set()
    return folder


def snakemake(folder: Path, *arguments: str, **environment: str) -> str:
    command = [sys.executable, "-m", "snakemake", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DEEPSCALER_")} | environment
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def dry_run(folder: Path, *arguments: str, **environment: str) -> str:
    return snakemake(folder, *arguments, "--dry-run", "--", "mini", **environment)


def again(folder: Path, *arguments: str, **environment: str) -> set[str]:
    """The rules that would run, but for the target's own."""
    stats = dry_run(folder, *arguments, **environment).partition("Job stats:")[2].partition("\n\n")[0]
    return set(re.findall(r"^(\w+) +\d+$", stats, re.MULTILINE)) - {"mini", "total"}


CASES = {
    "kl.coefficient": ("recipes/mini.yaml", ["kl"], {"coefficient": 0.002}, TRAINED),
    "filtering.draws": ("recipes/mini.yaml", ["filtering"], {"enabled": True, "draws": 2.0}, SCHEDULED),
    "evaluation.tensor_parallel": ("scales/mini.yaml", ["evaluation", "tensor_parallel"], 2, SAMPLED),
    "seed": (
        "scales/mini.yaml", ["seed"], 43,
        {"distill_base", "schedule_prompts", *TRAINED},
    ),
    "evaluation.temperature": ("scales/mini.yaml", ["evaluation", "temperature"], 0.7, SAMPLED),
    "curation.deduplicate.threshold": ("scales/mini.yaml", ["curation", "deduplicate", "threshold"], 0.8, CURATED),
    "evaluation.grader": (
        "scales/mini.yaml", ["evaluation", "grader"], "strict", {"score", "tabulate", "draw_figure", "account_compute"},
    ),
    "title": ("models.yaml", ["deepscaler-8k", "title"], "Ours", {"tabulate", "draw_figure", "account_compute"}),
    "layout": ("scales/mini.yaml", ["training", "layout", "8k", "nodes"], 2, LEDGER),
    "save_steps": ("scales/mini.yaml", ["training", "layout", "8k", "save_steps"], 2, LEDGER),
    "resources": ("scales/mini.yaml", ["resources", "sample", "mem_mb"], 9000, LEDGER),
    "budget": ("scales/mini.yaml", ["budget", "dollars_per_gpu_hour"], 9, LEDGER),
    "health": ("scales/mini.yaml", ["training", "health"], {"window": 9}, LEDGER),
    "description": ("scales/mini.yaml", ["description"], "Small", set()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_changed_setting_makes_again_what_it_decides_and_nothing_else(finished: Path, name: str) -> None:
    file, keys, value, expected = CASES[name]
    path = finished / "config" / file
    before, stamp = path.read_text(encoding="utf-8"), path.stat()
    values = yaml.safe_load(before)
    inner = values
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    try:
        found = again(finished)
    finally:
        path.write_text(before, encoding="utf-8")
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert found & RULES == expected | {"resolve_settings"}
    assert found - RULES == READERS


PROFILES = {
    "none": [],
    **{name: ["--profile", f"profiles/{name}"] for name in ("laptop", "workstation", "slurm")},
}


@pytest.fixture
def image(tmp_path: Path) -> dict[str, str]:
    """The environment of a site with an image; Snakemake asks the command for its version alone in a dry run."""
    command = tmp_path / "apptainer"
    command.write_text("#!/bin/sh\necho apptainer version 1.3.6\n", encoding="utf-8")
    command.chmod(0o755)
    return {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "DEEPSCALER_IMAGE": f"docker://example.org/renamed@sha256:{0:064}",
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_what_decides_no_result_plans_nothing(finished: Path, image: dict[str, str], profile: str) -> None:
    """Software under another name, or made another way, and the layout of a rule's command."""
    arguments = PROFILES[profile]
    assert again(finished, *arguments) == set()
    assert again(finished, *arguments, "--sdm", "apptainer", **image) == set()
    path = finished / "workflow/rules/evaluation.smk"
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace('"deepscaler sample"', '"deepscaler  sample"'), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != before
    try:
        assert again(finished, *arguments) == set()
    finally:
        path.write_text(before, encoding="utf-8")


@pytest.mark.parametrize("profile", PROFILES)
def test_what_decides_a_result_plans_it_with_any_profile(finished: Path, profile: str) -> None:
    path = finished / "config/scales/mini.yaml"
    before, stamp = path.read_text(encoding="utf-8"), path.stat()
    values = yaml.safe_load(before)
    values["evaluation"]["temperature"] = 0.7
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    try:
        assert "sample" in again(finished, *PROFILES[profile])
    finally:
        path.write_text(before, encoding="utf-8")
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def test_a_changed_claim_makes_again_what_reads_the_claims(finished: Path) -> None:
    """Another word in the file: verdicts, the figures' marks, the ledger's efforts, and what reads these."""
    path = finished / "config/claims.yaml"
    before, stamp = path.read_text(encoding="utf-8"), path.stat()
    path.write_text(f"{before}\n# read once more\n", encoding="utf-8")
    try:
        assert again(finished) == {"draw_figure", "account_compute", *READERS}
    finally:
        path.write_text(before, encoding="utf-8")
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def test_snakemake_names_the_setting_that_changed(finished: Path) -> None:
    path = finished / "config" / "recipes" / "mini.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + "kl: { coefficient: 0.002 }\n", encoding="utf-8")
    try:
        reasons = re.findall(r"Params have changed.*: before: (.*) now: (.*) $", dry_run(finished), re.MULTILINE)
    finally:
        path.write_text(before, encoding="utf-8")
    assert ("'kl.coefficient=0.001'", "'kl.coefficient=0.002'") in reasons
