"""Facts about the DAG of every scale, from dry runs: what would run, and what it would write."""

import re
from collections import Counter
from pathlib import Path

import pytest
from deepscaler import dag, settings

SCALES = [name for name in settings.scale_names() if not settings.load_scale(name).rehearsal]  # those end in a verdict
STAT = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def jobs(snakemake):
    """Scale → rule → number of jobs, as if nothing had been made yet."""
    found = {}
    for scale in SCALES:
        run = snakemake(scale, "--dry-run", "--forceall", "--quiet", "rules")
        assert run.returncode == 0, run.stderr
        stats = (run.stdout + run.stderr).split("Job stats:")[1].split("\n\n")[0]
        found[scale] = {rule: int(number) for rule, number in STAT.findall(stats)}
    return found


@pytest.fixture(scope="module")
def outputs(snakemake):
    """Scale → every file that its jobs write."""
    found = {}
    for scale in SCALES:
        run = snakemake(scale, "--summary", "--forceall")
        assert run.returncode == 0, run.stderr
        rows = [line.split("\t") for line in run.stdout.splitlines() if "\t" in line]
        found[scale] = [row[0] for row in rows[1:]]
    return found


@pytest.mark.parametrize("scale", SCALES)
def test_every_stage_shard_and_system_is_a_job(jobs, scale):
    chosen = settings.load_scale(scale)
    scored = dag.scored(scale)
    expected = Counter(
        {
            "train_segment": len(dag.segments(scale)),
            "schedule_prompts": len(dag.segments(scale)),
            "fetch_model": len(dag.fetched(scale)),
            "distill_base": len(dag.distilled(scale)),
            "sample": sum(chosen.evaluation.shards[suite] for _, suite in scored),
            "grade_samples": len(scored),
            "score": len(scored),
            "fetch_benchmark": len({*chosen.evaluation.suites["table"], *dag.held_against(scale)}),
            "fetch_source": len(chosen.curation.sources) if chosen.curation else 0,
            "extract_answers": len(chosen.curation.sources) if chosen.curation else 0,
            "draw_figure": 5 if chosen.training else 1,
            "tabulate": 1,
            "publish_table": int(scale == "paper"),
        }
    )
    assert {rule: jobs[scale].get(rule, 0) for rule in expected} == dict(expected)


def test_the_paper_is_all_there(jobs):
    """The paper's numbers, written out: sections "Iterative context lengthening" and "Evaluation", and its scripts."""
    recipe = settings.load_recipe("deepscaler")
    stages = [(s.name, s.max_new_tokens, s.steps, recipe.samples_of(s)) for s in recipe.stages]
    assert stages == [("8k", 8192, 1040, 8), ("16k", 16384, 480, 16), ("24k", 24576, 230, 16)]
    assert recipe.rollout.prompts_per_step == 128
    assert (recipe.rollout.temperature, recipe.optimizer.learning_rate, recipe.kl.coefficient) == (0.6, 1e-6, 0.001)

    segments = dag.segments("paper")
    ends = {segment.stage: (segment.last, segment.total_last) for segment in segments}
    assert ends == {"8k": (1040, 1040), "16k": (480, 1520), "24k": (230, 1750)}
    trained = {s.stage: sum(t.last - t.first for t in segments if t.stage == s.stage) for s in segments}
    assert trained == {"8k": 1040, "16k": 480, "24k": 230}
    gpus = {s.stage: dag.layout("paper", s.stage).nodes * dag.layout("paper", s.stage).gpus_per_node for s in segments}
    assert gpus == {"8k": 8, "16k": 32, "24k": 32}

    evaluation = settings.load_scale("paper").evaluation
    assert (evaluation.samples, evaluation.temperature, evaluation.top_p) == (16, 0.6, 0.95)
    assert (evaluation.max_new_tokens, evaluation.grader) == (32768, "paper")
    titles = [settings.benchmarks()[name].title for name in evaluation.suites["table"]]
    assert titles == ["AIME 2024", "MATH-500", "AMC 2023", "Minerva Math", "OlympiadBench"]
    rows = {
        "Qwen-2.5-Math-7B-Instruct",
        "rStar-Math-7B",
        "Eurus-2-7B-PRIME",
        "Qwen2.5-7B-SimpleRL",
        "DeepSeek-R1-Distill-Qwen-1.5B",
        "Still-1.5B",
        "DeepScaleR-1.5B-Preview",
        "O1-Preview",
    }
    ours = {"DeepScaleR 8K", "DeepScaleR 16K", "DeepScaleR 24K"}
    assert {settings.systems()[name].title for name in evaluation.systems} == rows | ours

    counted = {rule: jobs["paper"][rule] for rule in ("train_segment", "fetch_model", "fetch_source", "draw_figure")}
    assert counted == {"train_segment": 13 + 6 + 6, "fetch_model": 6, "fetch_source": 5, "draw_figure": 5}
    scored = 6 + 3  # systems with weights in the table: published ones and our three stages
    curve = 25 - 3  # checkpoints of figure 1 beside the stages' last ones
    assert jobs["paper"]["score"] == scored + curve
    assert jobs["paper"]["sample"] == 8 * scored + curve


def test_the_smaller_scales_are_all_there(jobs):
    """Mini: four segments, and the base with its three stages. Released: six models with weights, eight shards each.

    Headline: two models, one test set.
    """
    counted = {rule: jobs["mini"][rule] for rule in ("train_segment", "distill_base", "sample", "score", "draw_figure")}
    assert counted == {"train_segment": 4, "distill_base": 1, "sample": 4 + 1, "score": 4 + 1, "draw_figure": 5}
    counted = {rule: jobs["released"][rule] for rule in ("fetch_model", "sample", "score", "draw_figure")}
    assert counted == {"fetch_model": 6, "sample": 8 * 6, "score": 6, "draw_figure": 1}
    counted = {rule: jobs["headline"][rule] for rule in ("fetch_model", "fetch_benchmark", "sample", "score")}
    assert counted == {"fetch_model": 2, "fetch_benchmark": 1, "sample": 2, "score": 2}


def test_mini_hands_over_within_a_stage():
    """At least one stage is cut into two segments, so that every run exercises the hand-over."""
    assert max(Counter(segment.stage for segment in dag.segments("mini")).values()) >= 2


@pytest.mark.parametrize("scale", SCALES)
def test_a_scale_writes_only_its_own_files(outputs, scale):
    work = settings.site().work
    own = (f"results/{scale}/", f"{work}/{scale}/")
    foreign = [name for name in outputs[scale] if not name.startswith(own)]
    assert foreign == (["results/table.csv"] if scale == "paper" else [])
    assert len(outputs[scale]) == len(set(outputs[scale])) > 15


@pytest.mark.parametrize("scale", SCALES)
def test_every_result_is_asked_for_by_name(workflow, outputs, scale):
    """A result that is only some other job's input would stay lost: its reader has run and needs nothing."""
    asked = {str(name) for name in workflow.get_rule(scale).input}
    results = {name for name in outputs[scale] if name.startswith("results/")}
    assert results - asked == set()


def test_scales_run_the_same_rules(jobs):
    """What mini runs is what the paper runs: the rules differ only in how weights are come by, and in the last copy."""
    differ = set(jobs["mini"]) ^ set(jobs["paper"])
    assert differ <= {"mini", "paper", "distill_base", "fetch_model", "publish_table"}


TRAINING = ["mini", "paper"]
RECIPES = sorted(path.stem for path in (Path(__file__).parents[2] / "config" / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("scale", TRAINING)
def test_every_recipe_at_every_scale_that_trains_is_one_line(snakemake, config_copy, scale):
    """A file of three lines each, as a user writes it, and all of its results asked for."""
    layouts = settings.load_scale(scale).training.layout.values()
    apart = min(layout.gpus_per_node for layout in layouts) > 1
    recipes = [name for name in RECIPES if apart or not settings.load_recipe(name).rollout.asynchronous.enabled]
    for recipe in recipes:
        text = f"extends: {scale}\ntraining:\n  recipe: {recipe}\n"
        (config_copy / "config" / "scales" / f"{scale}-{recipe}.yaml").write_text(text, encoding="utf-8")
    targets = [f"results/{scale}-{recipe}/report.html" for recipe in recipes]
    run = snakemake(*targets, "-n", "--quiet", "rules", DEEPSCALER_ROOT=str(config_copy))
    assert run.returncode == 0, run.stderr[-2000:]
    stats = dict(STAT.findall((run.stdout + run.stderr).split("Job stats:")[1].split("\n\n")[0]))
    assert int(stats["write_report"]) == len(recipes)
    stages = {recipe: [stage.name for stage in settings.load_recipe(recipe).stages] for recipe in recipes}
    assert int(stats["preflight"]) == sum(map(len, stages.values()))
    remarks = [line for line in run.stderr.splitlines() if line.startswith("deepscaler:")]
    assert len(remarks) == sum(len(found) < 3 for found in stages.values()), "one line a scale, once"
    for recipe in ("16k-from-start", "24k-from-start"):
        (line,) = [line for line in remarks if f"'{scale}-{recipe}'" in line]
        assert "deepscaler-8k" in line


def test_the_headline_command_as_it_is_typed(snakemake, root):
    assert (root / "slurm").resolve() == root / "profiles" / "slurm"
    run = snakemake("--profile", "slurm", "results/table.csv", "-n")
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    "profile", sorted(path.parent.name for path in (Path(__file__).parents[2]).glob("profiles/*/config.yaml"))
)
def test_every_profile_is_accepted(snakemake, profile):
    run = snakemake("--profile", f"profiles/{profile}", "mini", "-n")
    assert run.returncode == 0, run.stderr
