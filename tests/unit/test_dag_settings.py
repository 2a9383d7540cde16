"""What the rules' verbs read of the settings, against what decides their files: nothing may be read and not count.

Each verb is run for real, on small data; only an engine's start and a training's launch are left out. A setting that is
read, and that no digest counts, stands below with the reason why it moves no number.
"""

import re
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import synthetic_run
import yaml
from deepscaler import dag, records, settings
from deepscaler.cli import data as curation
from deepscaler.evaluation import fetch_benchmark, grade_samples, sample
from deepscaler.evaluation.score import score
from deepscaler.files import write_json
from deepscaler.miniature.tokenizer import build_tokenizer
from deepscaler.models import distill_base, fetch_model
from deepscaler.reporting.compute.account_compute import account_compute
from deepscaler.reporting.figures import figures
from deepscaler.training import train_segment
from deepscaler.training.openrlhf.flags import SegmentPaths
from deepscaler.training.run.run_folder import RunFolder
from deepscaler.training.schedule_prompts import schedule_prompts
from settings_trace import SCALE, Trace

SYSTEM, SEGMENT, BENCHMARK, SOURCE, PUBLISHED = "mini-base", "16k-1", "mini-aime-2024", "mini-aime", "still-1.5b"
WILDCARDS = {"segment": SEGMENT, "suite": "table", "benchmark": BENCHMARK, "source": SOURCE}

FINDS = "finds the entry, or the part of the chain, whose settings count"
FOLLOWS = "what follows from it counts: the segment's first and last step, or the suite's benchmarks"
ASKED = "how answers were asked for: in the samples, which are its input"
MACHINES = "where it runs, how it is cut, what is kept: not what it computes (docs/training.md)"
ANYWHERE = {
    "scale.base": FINDS,
    "scale.training.recipe": FINDS,
    "scale.training.layout.*.segment_steps": FOLLOWS,
    "recipe.stages.*.name": FINDS,
    "recipe.stages.*.steps": FOLLOWS,
    "scale.evaluation.systems": FOLLOWS,
    "scale.evaluation.suites": FOLLOWS,
    "models.*.kind": FINDS,
    "models.*.stage": FINDS,
}
"""Read, and no part of a digest, in any rule."""
CURVE = {"scale.evaluation.curve_every": "changes the set of its inputs, which Snakemake sees"}
READ: dict[str, dict[str, str]] = {
    "train_segment": dict.fromkeys(
        ("scale.training.layout.*", "scale.training.keep_states", "scale.resources.*"), MACHINES
    )
    | {"scale.training.keep_rollouts": "what is kept of a step, which is the same without"},
    "fetch_model": {"models.*.prompting.*": "the template is tried with it, and refused or not; it makes no byte"},
    "sample": dict.fromkeys(
        ("scale.evaluation.engine.*.cache_mb", "scale.evaluation.engine.*.threads", "scale.resources.*"),
        "how many requests fit at a time, and how fast they are (vllm_engine.ROOM)",
    ),
    "grade_samples": {
        **dict.fromkeys(("models.*.sampling.*", "scale.evaluation.context", "scale.evaluation.max_new_tokens"), ASKED),
        **dict.fromkeys(("scale.evaluation.temperature", "scale.evaluation.top_p", "scale.seed"), ASKED),
    },
    "score": {
        "benchmarks.*.size": "checked against the problems that are there",
        "scale.evaluation.curve_every": "whether people are told of it as a point of the curve",
    },
    "draw_figure": CURVE,
    "tabulate": CURVE,
    "account_compute": {"scale.rehearsal": "a rehearsal has no ledger"},
}
"""The same for single rules."""


@pytest.fixture
def run(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up run whose settings are small, so that each verb takes a second."""
    path = run / "config/models.yaml"
    values = yaml.safe_load(path.read_text())
    plan = values[SYSTEM]["distillation"]
    plan.update(clean_traces=8, mixed_traces=8, clean_steps=1, mixed_steps=1)
    hub = run / "hub/still"
    values[PUBLISHED].update(repository=f"file://{hub}", revision=None, files={}, chat_template=None)
    path.write_text(yaml.safe_dump(values))
    tokenizer(hub)
    (hub / "model.safetensors").write_bytes(b"weights")
    forget()
    yield run
    forget()


def forget() -> None:
    for loader in (settings.load_scale, settings.load_recipe, settings.systems, settings.benchmarks, settings.sources):
        loader.cache_clear()


def tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    build_tokenizer(settings.systems()[SYSTEM].prompting.suffix).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "qwen2"}')


def model(run: Path) -> Path:
    folder = run / "asked"
    tokenizer(folder)
    write_json(folder / "model.json", {"files": {"model.safetensors": "0" * 64}})
    return folder / "model.json"


def problems(run: Path) -> Path:
    """Curated problems, as the real steps before give them."""
    path = run / "train.parquet"
    if not path.exists():
        curation.fetch_source(SCALE, SOURCE, run / f"{SOURCE}.parquet")
        curation.extract_answers(
            SCALE, run / f"{SOURCE}.parquet", run / "answers.parquet", run / "removed.parquet", run / "review.csv"
        )
        rows = records.read(run / "answers.parquet", records.PROBLEM).to_pylist()[:60]
        records.write(path, rows, records.PROBLEM)
    return path


def tables(run: Path, names: str = "table") -> list[Path]:
    folder = synthetic_run.work(run) / "benchmarks"
    return [folder / f"{name}.parquet" for name in settings.load_scale(SCALE).evaluation.suites[names]]


def run_sample(run: Path) -> None:
    def draw(llm: Any, requests: Any, protocol: Any, system: str) -> Any:
        for request in requests:
            row = {key: getattr(request, key, 1) for key in records.COMPLETION.names}
            yield request, {**row, "response": "", "finish_reason": "stop", "system": system}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "draw", draw)
        patch.setattr(sample.vllm_engine, "prepare", lambda engine: None)
        patch.setattr(sample.vllm_engine, "start", lambda folder, engine: engine.arguments())
        output = run / "drawn/table-1of1.parquet"
        sample.sample(
            scale=SCALE,
            system=SYSTEM,
            model=run / "asked/model.json",
            benchmarks=[run / "set.parquet"],
            shard=1,
            shards=1,
            output=output,
        )


def run_train(run: Path) -> None:
    segment, folder = dag.segment(SCALE, SEGMENT), RunFolder(run / "runs" / SEGMENT)
    paths = SegmentPaths(folder.start, folder.prompts, folder.states, folder.hf, train_segment.REWARD_FILE, run)
    train_segment.launch_of(SCALE, segment, folder, paths)


def run_grade(run: Path) -> None:
    grade_samples.grade_samples(
        scale=SCALE,
        system=SYSTEM,
        samples=[synthetic_run.samples_of(run, SYSTEM, "table")],
        benchmarks=tables(run),
        output=run / "grades.parquet",
        threads=1,
    )


def run_deduplicate(run: Path) -> None:
    curation.deduplicate(
        SCALE, [problems(run)], run / "kept.parquet", run / "kept.npy", run / "twins.parquet", run / "twins.csv"
    )


def make_questions(run: Path) -> None:
    model(run)
    fetch_benchmark.fetch_benchmark(benchmark=BENCHMARK, output=run / "set.parquet")


def run_decontaminate(run: Path) -> None:
    curation.decontaminate(
        SCALE,
        *(run / "kept.parquet", run / "kept.npy", tables(run)),
        *(run / "clean.parquet", run / "found.parquet", run / "found.csv"),
    )


def run_score(run: Path) -> None:
    grades = synthetic_run.grades_of(run, SYSTEM, "table")
    score(scale=SCALE, system=SYSTEM, suite="table", grades=grades, output=run / "scores.json")


def run_distill(run: Path) -> None:
    distill_base.distill_base(scale=SCALE, system=SYSTEM, output=run / "models/new/model.json", threads=1)


def run_schedule(run: Path) -> None:
    schedule_prompts(scale_name=SCALE, segment_id=SEGMENT, problems=problems(run), output=run / "prompts.jsonl")


def run_figures(run: Path) -> None:
    for number in range(1, 6):
        figures.draw(number, SCALE, synthetic_run.data_of(run / "results" / SCALE, number))


VERBS: dict[str, Callable[[Path], Any]] = {
    "fetch_source": lambda run: curation.fetch_source(SCALE, SOURCE, run / "source.parquet"),
    "fetch_benchmark": lambda run: fetch_benchmark.fetch_benchmark(benchmark=BENCHMARK, output=run / "set.parquet"),
    "fetch_model": lambda run: fetch_model.fetch_model(system=PUBLISHED, output=run / "models/still/model.json"),
    "distill_base": run_distill,
    "extract_answers": lambda run: curation.extract_answers(
        SCALE, problems(run), run / "a.parquet", run / "b.parquet", run / "c.csv"
    ),
    "deduplicate": run_deduplicate,
    "decontaminate": run_decontaminate,
    "select_gradable": lambda run: curation.select_gradable(SCALE, problems(run), run / "d.parquet", run / "e.parquet"),
    "schedule_prompts": run_schedule,
    "train_segment": run_train,
    "sample": run_sample,
    "grade_samples": run_grade,
    "score": run_score,
    "tabulate": synthetic_run.make_tables,
    "draw_figure": run_figures,
    "account_compute": lambda run: account_compute(
        scale=SCALE, benchmarks=run / "logs" / SCALE, output=run / "compute.csv"
    ),
}
BEFORE = {"extract_answers": problems, "select_gradable": problems, "schedule_prompts": problems}
BEFORE |= {"deduplicate": problems, "decontaminate": run_deduplicate, "sample": make_questions}
"""What is made before a verb is watched."""


@pytest.mark.parametrize("rule", VERBS)
def test_whatever_a_verb_reads_decides_its_files_or_is_named(run: Path, rule: str) -> None:
    BEFORE.get(rule, model)(run)
    trace = Trace()
    with trace.reading() as read:
        VERBS[rule](run)
    counted, _ = trace.counted(rule, **WILDCARDS, system=PUBLISHED if rule == "fetch_model" else SYSTEM)
    named = ANYWHERE | READ.get(rule, {})
    left = {leaf for leaf in read - counted if not any(fnmatch(leaf, name) for name in named)}
    assert read, "nothing was seen"
    assert not left


def test_rules_that_read_the_claims_have_them_as_an_input(root: Path) -> None:
    """All of config/claims.yaml is one file, so that a changed word in it is seen."""
    package, asked = root / "workflow/deepscaler/reporting", set()
    for path in package.rglob("*.py"):
        if re.search(r"import .*\bclaims\b", path.read_text(encoding="utf-8")):
            asked.add(path.parent.name)
    assert asked == {"claims", "compute", "figures", "report", "verdicts", "verification", "within"}  # report: so far
    text = (root / "workflow/rules/report.smk").read_text(encoding="utf-8")
    rules = dict(re.findall(r"^rule (\w+):(.*?)(?=^rule |\Z)", text, re.MULTILINE | re.DOTALL))
    readers = {rule for rule, body in rules.items() if '"config/claims.yaml"' in body}
    assert readers == {"check_claims", "account_compute", "draw_figure"}
