"""The scores along training: jobs of the headline command, and started after training where both want the same GPU."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deepscaler import dag, settings

STAND_IN = """
import sys
import time
from pathlib import Path

if sys.argv[1] == "train_segment":
    time.sleep(1)  # in which the prompts of the next segment are scheduled
with open("order.txt", "a") as handle:
    handle.write(" ".join(sys.argv[1:]) + chr(10))
for name in sys.argv[2:]:
    path = Path(name)
    if "/" in name and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        others = {"checkpoint.json": ("metrics.jsonl", "model.safetensors"), "model.json": ("model.safetensors",)}
        for other in others.get(path.name, ()):
            path.with_name(other).touch()
"""
TOY = """extends: mini
training:
  layout:
    8k: { segment_steps: 3, save_steps: 3 }
    16k: { segment_steps: 4, save_steps: 4 }
    24k: { segment_steps: 6, save_steps: 6 }
evaluation:
  curve_every: 1
"""


def sampled(words: str) -> list[str]:
    return re.findall(r"Sampling (\S+) on suite curve, shard 1 of 1", words)


def test_the_headline_command_samples_every_checkpoint(snakemake) -> None:
    run = snakemake("--profile", "slurm", "results/table.csv", "-n", "--forceall")
    assert run.returncode == 0, run.stderr
    ends = {dag.last_segment("paper", stage).id for stage in ("8k", "16k", "24k")}
    expected = {segment.id for segment in dag.segments("paper")} - ends
    jobs = sampled(run.stdout + run.stderr)
    assert len(jobs) == len(expected) == 22
    assert set(jobs) == expected


def test_a_setting_drops_them(snakemake, config_copy: Path) -> None:
    path = config_copy / "config/scales/paper.yaml"
    path.write_text(path.read_text().replace("  samples: 16\n", "  samples: 16\n  curve_every: 0\n"))
    run = snakemake("results/table.csv", "-n", "--forceall", DEEPSCALER_ROOT=str(config_copy))
    assert run.returncode == 0, run.stderr
    assert sampled(run.stdout + run.stderr) == []


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    for name in ("config", "envs", "profiles", "workflow/rules", "workflow/notebooks", "workflow/report"):
        shutil.copytree(root / name, tmp_path / name)
    shutil.copyfile(root / "Snakefile", tmp_path / "Snakefile")
    shutil.copyfile(root / "tests/workflow/stand_in.smk", tmp_path / "stand_in.smk")
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    (tmp_path / "config/scales/toy.yaml").write_text(TOY)
    return tmp_path


def test_training_goes_first_on_a_single_gpu(checkout: Path) -> None:
    """Snakemake's own scheduling, of short jobs: all training, then the samples of its checkpoints."""
    command = [sys.executable, "-m", "snakemake", "-s", "stand_in.smk", "--cores", "2", "--resources", "gpus=1"]
    own = {key: value for key, value in os.environ.items() if not key.startswith("DEEPSCALER_")}
    run = subprocess.run(
        [*command, "--", "results/toy/table.csv"], cwd=checkout, env=own, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    order = (checkout / "order.txt").read_text().splitlines()
    trained = [re.search(r"--segment (\S+)", line)[1] for line in order if line.startswith("train_segment")]
    assert trained == ["8k-1", "8k-2", "8k-3", "8k-4", "16k-1", "16k-2", "16k-3", "24k-1", "24k-2"]
    last = max(index for index, line in enumerate(order) if line.startswith("train_segment"))
    samples = [(index, line) for index, line in enumerate(order) if re.match(r"sample .*(curve|deepscaler-8k/)", line)]
    assert len(samples) == 9 - 3 + 1
    assert min(index for index, _ in samples) > last, "samples of a checkpoint took the GPU before the next segment"
    (table,) = [line for line in order if line.startswith("tabulate")]
    assert len(re.findall(r"scores/\S+-curve\.json", table)) == 6


def test_settings_are_where_a_user_looks() -> None:
    assert settings.load_scale("paper").evaluation.curve_every == 1
    assert settings.load_scale("paper").evaluation.suites["curve"] == ["aime-2024"]
