"""What is misspelt is refused before any job starts: one line, the place, the nearest name, no traceback."""

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


@pytest.mark.parametrize(
    ("file", "keys", "value", "said"),
    [
        ("scales/mini.yaml", ["evaluation", "temprature"], 0.6, "did you mean 'temperature'?"),
        ("scales/mini.yaml", ["base"], "mini-bass", "did you mean 'mini-base'?"),
        ("scales/paper.yaml", ["evaluation", "suites", "table"], ["aime-2042"], "did you mean 'aime-2024'?"),
        ("recipes/mini.yaml", ["rollout", "temprature"], 1.0, "did you mean 'temperature'?"),
    ],
    ids=["key", "model", "benchmark", "recipe"],
)
def test_settings(snakemake, config_copy, file, keys, value, said):
    edit(config_copy / "config" / file, keys, value)
    run = snakemake("mini", "-n", DEEPSCALER_ROOT=str(config_copy))
    assert run.returncode == 2
    assert said in run.stderr
    assert str(config_copy / "config" / file) in run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("target", ["results/minni/table.csv", "minni"])
def test_scales(snakemake, target):
    run = snakemake(target, "-n")
    assert run.returncode == 2
    assert "did you mean 'mini'?" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
