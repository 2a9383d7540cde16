"""What a run of mini must show: the real pipeline ran, the model learnt, and only what is needed is done again."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from deepscaler import dag, files, records, settings
from deepscaler.reporting.archive.archive import archive
from deepscaler.reporting.archive.reverify import reverify
from deepscaler.training.run.checkpoint import digest

pytestmark = [pytest.mark.mini, pytest.mark.timeout(3600)]

STAGES = ["deepscaler-8k", "deepscaler-16k", "deepscaler-24k"]
COLUMNS = ["model", "aime_2024", "math_500", "amc_2023", "minerva_math", "olympiad_bench", "average"]


def table(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="session")
def rows(mini_run):
    return table(mini_run.results / "table.csv")


@pytest.fixture(scope="session")
def steps(mini_run):
    return table(mini_run.results / "training.csv")


@pytest.fixture(scope="session")
def comparisons(mini_run):
    return {
        (row["system"], row["against"], row["benchmark"]): row for row in table(mini_run.results / "comparisons.csv")
    }


def average(rows: list[dict[str, Any]], system: str) -> float:
    return next(float(row["average"]) for row in rows if row["system"] == system)


# --- that it ran -------------------------------------------------------------------------------------------------


def test_everything_is_there(mini_run):
    names = ["table.csv", "table.md", "tokens.csv", "curation.csv", "training.csv", "compute.csv", "claims.csv"]
    names += ["settings.yaml", "report.html", "ro-crate-metadata.json"]
    names += [f"figures/figure-{number}.{kind}" for number in (1, 2, 3, 4) for kind in ("png", "pdf")]
    names += [f"notebooks/figure-{number}.ipynb" for number in (1, 2, 3, 4)]
    assert [name for name in names if not (mini_run.results / name).is_file()] == []


def test_the_table_has_its_columns_and_rows(rows):
    assert list(rows[0])[:7] == COLUMNS
    assert [row["system"] for row in rows] == ["mini-base", *STAGES]
    for row in rows:
        assert (row["samples_per_problem"], row["samples"]) == ("16", str(16 * 5 * 40))
        five = [float(row[column]) for column in COLUMNS[1:6]]
        assert float(row["average"]) == pytest.approx(sum(five) / 5, abs=0.05)
        for column in COLUMNS[1:]:
            error = float(row[f"{column}_standard_error"])
            assert 0 < error < 10 or (error == 0 and float(row[column]) in (0, 100)), column


def test_samples_are_the_engines_own(mini_run):
    """16 different seeds a problem, lengths that differ, and an end reason each: nothing canned."""
    base = settings.systems()["mini-base"]
    for path in sorted((mini_run.work / "samples").glob("*/table-1of1.parquet")):
        samples = records.read(path, records.COMPLETION).to_pandas()
        assert len(samples) == 16 * 200
        assert samples.groupby("problem_id")["seed"].nunique().eq(16).all()
        assert set(samples["finish_reason"]) <= {"stop", "length"}
        assert samples["tokens"].nunique() > 20
        assert samples["response"].nunique() > 200  # a canned answer a problem would be 200
    assert base.kind == "distilled"


def test_checkpoints_are_a_chain(mini_run):
    """Each checkpoint names its parent by digest, back to the base model, and its files are what it says."""
    parent = mini_run.work / "models" / "mini-base" / "model.json"
    for segment in dag.segments("mini"):
        path = mini_run.work / "checkpoints" / segment.id / "checkpoint.json"
        checkpoint = records.Checkpoint.model_validate_json(path.read_text(encoding="utf-8"))
        assert checkpoint.parent == digest(parent)
        assert (checkpoint.stage, checkpoint.step, checkpoint.total_step) == (
            segment.stage,
            segment.last,
            segment.total_last,
        )
        assert {name: files.sha256(path.parent / name) for name in checkpoint.files} == checkpoint.files
        parent = path


def test_settings_versions_and_seed_lie_beside_the_results(mini_run):
    record = yaml.safe_load((mini_run.results / "settings.yaml").read_text(encoding="utf-8"))
    assert record["seed"] == settings.load_scale("mini").seed
    assert {"torch", "openrlhf", "deepspeed"} <= set(record["versions"])
    assert record["settings"]["scale"] == settings.load_scale("mini").model_dump(mode="json", exclude={"rehearsal"})


def test_every_job_has_its_log(mini_run):
    logs = {path.parent.name for path in (mini_run.root / "logs" / "mini").glob("*/*.log") if path.stat().st_size}
    assert {"distill_base", "train_segment", "sample", "grade_samples", "tabulate", "deduplicate"} <= logs


def test_memory_stays_within_ten_gigabytes(mini_run):
    for path in (mini_run.root / "logs" / "mini").glob("*/*.tsv"):
        with path.open(encoding="utf-8") as handle:
            for row in csv.DictReader(handle, delimiter="\t"):
                if row["max_pss"] not in ("NA", "-"):
                    assert float(row["max_pss"]) < 10_000, path


def test_its_archive_holds(mini_run, tmp_path, capsys):
    """Made as `make reference` does, and held against itself and against the run."""
    path, run = tmp_path / "mini.tar.gz", (mini_run.results, mini_run.work)
    archive(scale="mini", results=run[0], work=run[1], output=path)
    for depth, given in (("grade", None), ("train", run)):
        reverify(archive=path, depth=depth, systems=[], run=given, threads=2, largest_gb=1)
    said = capsys.readouterr().out
    assert said.count("Verified: ") == 2
    equal, of = (int(word) for word in said.split("Equal to the byte: ")[2].split()[:3:2])
    assert equal == of > 100


# --- that it learnt ----------------------------------------------------------------------------------------------


def test_training_lifts_the_base_by_twenty_points(rows, comparisons):
    assert average(rows, STAGES[-1]) - average(rows, "mini-base") >= 20
    assert float(comparisons[STAGES[-1], "mini-base", "average"]["p_bootstrap"]) < 0.01


def test_the_first_stage_lifts_the_base_and_the_last_is_the_best(rows):
    """Whether each stage beats the one before by more than chance is a claim (claims.csv), met by most runs, not all:
    samples differ from run to run, and twelve steps are few."""
    base, first, *_, last = averages = [average(rows, system) for system in ["mini-base", *STAGES]]
    assert first > base
    assert last == max(averages)


def test_the_first_stage_cuts_truncation(mini_run):
    def truncated(system: str) -> float:
        scores = json.loads((mini_run.results / "scores" / f"{system}-table.json").read_text(encoding="utf-8"))
        return sum(row["truncated"] for row in scores["benchmarks"].values()) / 5

    assert truncated(STAGES[0]) < 0.5 * truncated("mini-base")


def test_the_bases_wrong_answers_are_longer_than_its_right_ones(mini_run):
    rows = [row for row in table(mini_run.results / "tokens.csv") if row["system"] == "mini-base"]
    assert len(rows) == 5
    right, wrong = (sum(float(row[f"tokens_{kind}"]) for row in rows) for kind in ("correct", "incorrect"))
    assert wrong > 1.2 * right


def test_every_step_is_recorded(steps):
    recipe = settings.load_recipe("mini")
    assert [int(row["total_step"]) for row in steps] == list(range(1, sum(s.steps for s in recipe.stages) + 1))
    assert {row["segment"] for row in steps} == {segment.id for segment in dag.segments("mini")}


def test_the_short_stage_shortens(mini_run):
    rows = table(mini_run.results / "tokens.csv")

    def mean_tokens(system: str) -> float:
        return sum(float(row["tokens_all"]) for row in rows if row["system"] == system) / 5

    assert mean_tokens("deepscaler-8k") < 0.8 * mean_tokens("mini-base")


def test_reward_rises_over_the_run(steps):
    rewards = [float(row["reward"]) for row in steps]
    assert sum(rewards[-6:]) > 1.5 * sum(rewards[:6])


def test_the_weights_reach_the_sampler(steps):
    """Divergence between trainer and sampler stays at rounding; stale weights push it to a tenth within a step."""
    assert max(float(row["vllm_kl"]) for row in steps) < 0.005


# --- that only what is needed is done again (these change the run, so they come last) -------------------------------


@pytest.fixture
def own_run(mini_run):
    if not mini_run.output:
        pytest.skip("the run was made elsewhere (DEEPSCALER_MINI_RUN) and is only read")
    return mini_run


def rules_to_run(run: Any, *arguments: str) -> set[str]:
    done = run.snakemake(*arguments, "mini", "--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    stats = said.split("Job stats:")[1].split("\n\n")[0] if "Job stats:" in said else ""
    return set(re.findall(r"^(\w+) +\d+$", stats, re.MULTILINE)) - {"total", "mini"}


def test_a_kill_leaves_nothing_half_written(own_run):
    assert [name for name in own_run.killed if not name.startswith(".")] == []


def test_other_scales_are_left_alone(own_run):
    for name in own_run.foreign:
        assert (own_run.root / name).read_text(encoding="utf-8") == f"of another scale: {name}\n"


def test_there_is_nothing_left_to_do(own_run):
    run = own_run.snakemake("mini")
    assert run.returncode == 0, run.stderr
    assert "Nothing to be done" in run.stdout + run.stderr


def test_a_lost_table_costs_a_table(own_run):
    (own_run.results / "tokens.csv").unlink()
    again = rules_to_run(own_run)
    assert "tabulate" in again
    assert not again & {"distill_base", "train_segment", "sample", "grade_samples", "score", "deduplicate"}
    assert own_run.snakemake("mini").returncode == 0
    assert rules_to_run(own_run) == set()


@pytest.mark.parametrize("name", ["contamination.csv", "curation.csv", "comparisons.csv", "figures/figure-3.pdf"])
def test_a_lost_result_costs_nothing_dear(own_run, name, tmp_path):
    shutil.move(own_run.results / name, tmp_path / "lost")
    again = rules_to_run(own_run)
    shutil.move(tmp_path / "lost", own_run.results / name)
    assert again
    assert not again & {"distill_base", "train_segment", "sample", "grade_samples", "deduplicate", "decontaminate"}


def test_lost_grades_and_scores_cost_no_sample(own_run):
    """Grades alone, lost while their scores are there, are nothing that a result still needs."""
    shutil.rmtree(own_run.work / "grades" / "deepscaler-24k")
    (own_run.results / "scores" / "deepscaler-24k-table.json").unlink()
    again = rules_to_run(own_run)
    assert {"grade_samples", "score", "tabulate"} <= again
    assert not again & {"distill_base", "train_segment", "sample"}


def test_a_changed_learning_rate_trains_again_from_there(own_run):
    """Stage 24K alone: what was trained before it stays, and so does the base model."""
    path = own_run.root / "config" / "recipes" / "mini.yaml"
    before = path.read_text(encoding="utf-8")
    try:
        values = yaml.safe_load(before)
        values["stages"][-1]["learning_rate"] = 1e-4
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        again = own_run.snakemake("mini", "--dry-run", "--summary")
        changed = {line.split("\t")[0] for line in again.stdout.splitlines() if "\tupdate pending" in line}
    finally:
        path.write_text(before, encoding="utf-8")
    weights = {name for name in changed if name.endswith("model.safetensors")}
    assert weights == {
        f"work/mini/checkpoints/{s.id}/model.safetensors" for s in dag.segments("mini") if s.stage == "24k"
    }


def test_a_failed_job_names_its_log(own_run):
    """A job that fails says in one line what went wrong and where to read more."""
    source = own_run.work / "checkpoints" / "24k-1" / "metrics.jsonl"
    text = source.read_text(encoding="utf-8")
    try:
        source.write_text("not json\n", encoding="utf-8")
        (own_run.results / "training.csv").unlink()
        run = own_run.snakemake("results/mini/training.csv", "--rerun-triggers", "mtime")
    finally:
        source.write_text(text, encoding="utf-8")
    assert run.returncode != 0
    told = run.stderr[run.stderr.index("collect_metrics failed: ") :]
    assert re.search(r"last +not .*JSON.*|last +.*metrics", told), told
    assert re.search(r"log +logs/mini/collect_metrics/all\.log", told), told
    assert re.search(r"next +\S", told), told
    assert json.loads(text.splitlines()[0])["stage"] == "24k"
