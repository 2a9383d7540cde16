"""Used by another workflow as a module, in a folder of its own: every target, and jobs that really run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from deepscaler.settings import load_scale

SNAKEFILE = """
module deepscaler:
    snakefile:
        "{root}/Snakefile"


use rule * from deepscaler{prefix}


rule all:
    default_target: True
    input:
        {targets},
"""
ENDS = ("table.csv", "claims.csv", "report.html", "ro-crate-metadata.json", "figures/figure-5.png")


def snakemake(
    root: Path, folder: Path, targets: list[str], *words: str, prefix: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Runs Snakemake for another workflow's Snakefile, in a folder beside it."""
    folder.mkdir(exist_ok=True)
    snakefile = folder / "Snakefile"
    text = SNAKEFILE.format(root=root, prefix=prefix, targets=", ".join(map(repr, targets)))
    snakefile.write_text(text)
    elsewhere = folder / "it's elsewhere"
    elsewhere.mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DEEPSCALER_")}
    command = [str(Path(sys.executable).with_name("snakemake")), "-s", str(snakefile), "--directory", str(elsewhere)]
    return subprocess.run(
        [*command, "--cores", "2", "--resources", "mem_mb=10000", "gpus=2", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.parametrize("prefix", ["", " as deepscaler_*"], ids=["same names", "a prefix"])
@pytest.mark.parametrize("scale", ["mini", "released", "paper"])
def test_every_target_can_be_asked_for(root: Path, tmp_path: Path, scale: str, prefix: str) -> None:
    targets = [f"results/{scale}/{name}" for name in ENDS]
    done = snakemake(root, tmp_path, targets, "-n", "--quiet", "rules", prefix=prefix)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "write_report" in done.stdout + done.stderr
    assert ("train_segment" in done.stdout + done.stderr) == (load_scale(scale).training is not None)


def test_jobs_run_where_the_other_workflow_is(root: Path, tmp_path: Path) -> None:
    """Curation up to the benchmarks, and a figure's notebook; nothing is written in the checkout."""
    before = {path for path in (root / "results").rglob("*") if "reference" not in path.parts}
    elsewhere = tmp_path / "it's elsewhere"
    (elsewhere / "results/mini").mkdir(parents=True)
    table = (root / "results/reference/mini/table.csv").read_bytes()
    (elsewhere / "results/mini/table.csv").write_bytes(table)
    steps = ("fetch_source", "fetch_benchmark", "extract_answers", "deduplicate", "decontaminate", "draw_figure")
    rules = ["all", *(f"deepscaler_{name}" for name in steps)]
    targets = ["work/mini/data/decontaminated.parquet", "results/mini/figures/figure-5.png"]
    done = snakemake(root, tmp_path, targets, "--allowed-rules", *rules, prefix=" as deepscaler_*")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert (elsewhere / "results/mini/figures/figure-5.png").stat().st_size > 10_000
    assert (elsewhere / "work/mini/data/decontaminated.parquet").is_file()
    described = json.loads((elsewhere / "work/mini/benchmarks/mini-aime-2024.croissant.json").read_text())
    assert described["name"] == "mini-aime-2024"
    assert (elsewhere / "logs/mini/deduplicate/all.log").is_file()
    after = {path for path in (root / "results").rglob("*") if "reference" not in path.parts}
    assert after == before


@pytest.mark.parametrize("name", ["Snakefile", "workflow/Snakefile", ".test/Snakefile"])
def test_where_tools_look_for_a_workflow(root: Path, tmp_path: Path, name: str) -> None:
    """Each entry gives the miniature, with nothing asked for."""
    snakemake_ = str(Path(sys.executable).with_name("snakemake"))
    command = [snakemake_, "-s", str(root / name), "--directory", str(tmp_path), "-n", "--quiet", "rules"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DEEPSCALER_")}
    done = subprocess.run(
        [*command, "--cores", "2"], cwd=root, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counted = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    assert {counted.get("train_segment"), counted.get("deepscaler_train_segment")} == {"4", None}
