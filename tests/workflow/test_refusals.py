"""What is misspelt is refused before any job starts: one line, the place, the nearest name, no traceback."""

import subprocess
from pathlib import Path

import pytest
import yaml


def edit(path: Path, keys: list[str], value: object) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    inner = values
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


def lines(run: "subprocess.CompletedProcess[str]") -> list[str]:
    """What was said, but for Snakemake's own line on the profile that it reads at every start."""
    return [line for line in run.stderr.strip().splitlines() if not line.startswith("Using workflow specific profile")]


@pytest.mark.parametrize(
    ("file", "keys", "value", "said"),
    [
        ("scales/mini.yaml", ["evaluation", "temprature"], 0.6, "did you mean 'temperature'?"),
        ("scales/mini.yaml", ["base"], "mini-bass", "did you mean 'mini-base'?"),
        ("recipes/mini.yaml", ["rollout", "temprature"], 1.0, "did you mean 'temperature'?"),
    ],
    ids=["key", "model", "recipe"],
)
def test_settings(snakemake, config_copy, file, keys, value, said):
    edit(config_copy / "config" / file, keys, value)
    run = snakemake("mini", "-n", DEEPSCALER_ROOT=str(config_copy))
    assert run.returncode == 2
    assert said in run.stderr
    assert str(config_copy / "config" / file) in run.stderr
    assert "Traceback" not in run.stderr
    assert len(lines(run)) == 1


def test_a_broken_scale_of_the_users_own_stops_itself_alone(snakemake, config_copy):
    (config_copy / "config/scales/mine.yaml").write_text("extends: mini\nevaluation: { temprature: 1 }\n")
    other = snakemake("mini", "-n", DEEPSCALER_ROOT=str(config_copy))
    assert other.returncode == 0
    (line,) = [line for line in other.stderr.splitlines() if "mine" in line]
    assert line.startswith("deepscaler: warning: scale 'mine' can't be used")
    assert "did you mean 'temperature'?" in line
    itself = snakemake("results/mine/table.csv", "-n", DEEPSCALER_ROOT=str(config_copy))
    assert itself.returncode == 2
    assert "did you mean 'temperature'?" in itself.stderr
    assert len(lines(itself)) == 1


def test_a_broken_scale_of_ours_stops_its_own_target_alone(snakemake, config_copy):
    edit(config_copy / "config/scales/paper.yaml", ["evaluation", "suites", "table"], ["aime-2042"])
    assert snakemake("mini", "-n", DEEPSCALER_ROOT=str(config_copy)).returncode == 0
    for target in ("paper", "results/paper/table.csv", "results/table.csv"):
        run = snakemake(target, "-n", DEEPSCALER_ROOT=str(config_copy))
        assert run.returncode == 2, target
        assert "did you mean 'aime-2024'?" in run.stderr
        assert len(lines(run)) == 1


@pytest.mark.parametrize("target", ["results/minni/table.csv", "minni"])
def test_scales(snakemake, target):
    run = snakemake(target, "-n")
    assert run.returncode == 2
    assert "did you mean 'mini'?" in run.stderr
    assert len(lines(run)) == 1


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("results/released/scores/stil-1.5b-table.json", "unknown system 'stil-1.5b'"),
        ("results/released/scores/still-1.5b-tabel.json", "did you mean 'table'?"),
        ("results/released/scores/still-1.5b-curve.json", "unknown suite 'curve'"),
    ],
)
def test_scores(snakemake, target, said):
    run = snakemake(target, "-n")
    assert run.returncode == 2
    assert said in run.stderr
    assert target in run.stderr
    assert len(lines(run)) == 1


@pytest.mark.parametrize("suite", ["table", "beyond"])
def test_every_system_can_be_asked_for_alone(snakemake, suite):
    run = snakemake(f"results/released/scores/still-1.5b-{suite}.json", "-n")
    assert run.returncode == 0, run.stderr
    shards = {"table": 8, "beyond": 1}[suite]
    assert f"sample {shards}" in " ".join(run.stdout.split())
    assert "deepscaler-1.5b-preview" not in run.stdout + run.stderr
