"""A run of a recipe without the paper's other stages: its figures are drawn and the claims held against it."""

import csv
from pathlib import Path

import pytest
import synthetic_run
from deepscaler import dag
from deepscaler.reporting.figures import figures
from deepscaler.settings import load

CACHES = (load.load_scale, load.load_recipe, load.systems, load.benchmarks, load.sources, load.site)


def forget() -> None:
    for cached in CACHES:
        cached.cache_clear()


@pytest.fixture
def ablated(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up run of mini's 16K stage alone, of which all of the paper's claims are asked."""
    folder = synthetic_run.checkout(root, tmp_path)
    only = "extends: mini\nstages:\n  - { name: 16k, max_new_tokens: 60, steps: 12 }\n"
    (folder / "config/recipes/only-16k.yaml").write_text(only)
    for file, before, after in (
        ("scales/mini.yaml", "recipe: mini", "recipe: only-16k"),
        ("claims.yaml", "scales: [paper]", "scales: [mini, paper]"),
    ):
        path = folder / "config" / file
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after), encoding="utf-8")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(folder))
    monkeypatch.chdir(folder)
    forget()
    synthetic_run.make(folder)
    yield folder
    forget()


def test_figures_and_claims_leave_out_what_was_not_trained(ablated: Path) -> None:
    results = ablated / "results/mini"
    assert dag.evaluated("mini") == ["mini-base", "deepscaler-16k"]
    with (results / "claims.csv").open(encoding="utf-8") as handle:
        verdicts = {row["id"]: row["verdict"] for row in csv.DictReader(handle)}
    assert verdicts["steps-8k"] == verdicts["mini-gain-at-8k"] == "not run"
    assert verdicts["steps-16k"] != "not run"
    for number in sorted(figures.FIGURES):
        assert figures.draw(number, "mini", synthetic_run.data_of(results, number)).axes
