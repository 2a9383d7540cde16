"""A made-up run of the mini scale, in the shapes of the real one, for tests of what reads a run.

Numbers come from a random generator and mean nothing. Scores and tables are made of them by the real verbs.
"""

import base64
import json
import random
import shutil
from pathlib import Path

from deepscaler import dag, records, settings
from deepscaler.curation.summarise_curation import COLUMNS
from deepscaler.evaluation.grade_samples import grade
from deepscaler.evaluation.requests import protocol_of, seed_of
from deepscaler.evaluation.sample import identity
from deepscaler.evaluation.score import score
from deepscaler.evaluation.tabulate import tabulate
from deepscaler.files import sha256, write_json, write_jsonl
from deepscaler.reporting.archive.archive import archive
from deepscaler.reporting.claims.check_claims import check_claims
from deepscaler.reporting.compute.account_compute import account_compute
from deepscaler.reporting.provenance.record_provenance import record_provenance
from deepscaler.reporting.provenance.resolve_settings import resolve_settings
from deepscaler.reward.response import grade_response
from deepscaler.reward.verdicts import MODES
from deepscaler.settings.claims import Claim, claims
from deepscaler.training.collect_metrics import collect_metrics
from deepscaler.training.watch import metrics

SCALE = "mini"
PROBLEMS, SAMPLES = 40, 16
PROMPT_TOKENS = 30
START = 1_700_000_000.0
METADATA = {
    "model": json.dumps({"sha256": "0" * 64, "repository": None, "revision": None}),
    "protocol": json.dumps({"context": 320, "temperature": 0.6, "top_p": 0.95, "seed": 42}),
    "versions": json.dumps({"vllm": "0.0"}),
}
"""Of grades that belong to no run."""
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
"""A picture of one pixel, where a figure would be."""
HOSTILE = "<script>alert('x')</script> & \"quoted\""
"""In every problem and completion: a report must show it and never run it."""


def checkout(root: Path, folder: Path) -> Path:
    """A folder that the package takes for a checkout: settings, Snakefile and notebooks of the real one."""
    shutil.copytree(root / "config", folder / "config")
    shutil.copytree(root / "workflow" / "notebooks", folder / "workflow" / "notebooks")
    shutil.copyfile(root / "Snakefile", folder / "Snakefile")
    return folder


def make(folder: Path, seed: int = 1) -> None:
    """Everything below results/mini, work/mini, logs/mini and .snakemake that the verbs of reporting read."""
    generator = random.Random(seed)
    make_training(folder, generator)
    make_models(folder)
    make_benchmarks(folder)
    for index, (system, suite) in enumerate(dag.scored(SCALE)):
        make_grades(folder, system, suite, 0.2 + 0.6 * index / len(dag.scored(SCALE)), generator)
        grades, output = grades_of(folder, system, suite), scores_of(folder, system, suite)
        score(scale=SCALE, system=system, suite=suite, grades=grades, output=output)
    make_tables(folder)
    make_benchmark_files(folder)
    make_curation(folder)
    make_job_records(folder)
    make_reports(folder)


def keep(folder: Path) -> Path:
    """The run's archive, where that of a run that is kept for comparison lies."""
    reference = folder / "results" / "reference" / SCALE
    archive(scale=SCALE, results=folder / "results" / SCALE, work=work(folder), output=reference)
    return reference


def work(folder: Path) -> Path:
    return folder / "work" / SCALE


def grades_of(folder: Path, system: str, suite: str) -> Path:
    return work(folder) / "grades" / system / f"{suite}.parquet"


def samples_of(folder: Path, system: str, suite: str) -> Path:
    return work(folder) / "samples" / system / f"{suite}-1of1.parquet"


def scores_of(folder: Path, system: str, suite: str) -> Path:
    return folder / "results" / SCALE / "scores" / f"{system}-{suite}.json"


def make_benchmarks(folder: Path) -> None:
    for name in settings.load_scale(SCALE).evaluation.suites["table"]:
        rows = [
            {"id": f"{name}/{i:04d}", "benchmark": name, "problem": f"Problem {i} {HOSTILE}", "answers": [str(i)],
             "metadata": "{}"}
            for i in range(PROBLEMS)
        ]  # fmt: skip
        records.write(work(folder) / "benchmarks" / f"{name}.parquet", rows, records.BENCHMARK_PROBLEM)


def make_grades(folder: Path, system: str, suite: str, chance: float, generator: random.Random) -> None:
    """Completions as made-up answers, and the grades that the graders really give them."""
    completions, grades = [], []
    protocol = protocol_of(SCALE, system)
    limit = min(protocol.max_new_tokens, protocol.context - PROMPT_TOKENS)
    for benchmark in settings.load_scale(SCALE).evaluation.suites[suite]:
        for problem in range(PROBLEMS):
            for sample in range(SAMPLES):
                right = generator.random() < chance
                tokens = generator.randint(40, 90) if right else generator.randint(60, limit)
                tokens = limit if tokens > limit - 16 else tokens
                answer = problem if right else -1
                # the strict grader asks for more digits than the paper's
                text = f"{answer}.00000000001" if right and sample == 3 and problem else str(answer)
                row = {"system": system, "benchmark": benchmark, "problem_id": f"{benchmark}/{problem:04d}",
                       "sample": sample, "tokens": tokens, "finish_reason": "length" if tokens == limit else "stop",
                       "seed": seed_of(protocol.seed, f"{benchmark}/{problem:04d}", sample),
                       "response": f"<think>{HOSTILE}</think> \\boxed{{{text}}}",
                       "prompt_tokens": PROMPT_TOKENS}  # fmt: skip
                completions.append(row)
                verdicts = {mode: grade_response([str(problem)], row["response"], mode, protocol.prompting.think)
                            for mode in MODES}  # fmt: skip
                grades.append(grade(row, verdicts))
    metadata = {
        "model": json.dumps(identity(manifest_of(folder, system))),
        "protocol": json.dumps(protocol.as_dict()),
        "versions": json.dumps({"vllm": "0.0"}),
    }
    records.write(samples_of(folder, system, suite), completions, records.COMPLETION, metadata)
    metadata["think"] = protocol.prompting.think
    records.write(grades_of(folder, system, suite), grades, records.GRADE, metadata)


def manifest_of(folder: Path, system: str) -> Path:
    segment_id = dag.checkpoint_of(SCALE, system)
    name = f"checkpoints/{segment_id}/checkpoint.json" if segment_id else f"models/{system}/model.json"
    return work(folder) / name


def make_tables(folder: Path) -> None:
    results = folder / "results" / SCALE
    systems = dag.evaluated(SCALE)
    scores = [scores_of(folder, system, "table") for system in systems]
    grades = [grades_of(folder, system, "table") for system in systems]
    tabulate(
        scale=SCALE,
        scores=scores,
        grades=grades,
        curve_scores=[scores_of(folder, point.system, point.suite) for point in dag.curve(SCALE)],
        table=results / "table.csv",
        markdown=results / "table.md",
        tokens=results / "tokens.csv",
        agreement=results / "agreement.csv",
        comparisons=results / "comparisons.csv",
        curve=results / "curve.csv",
    )


def make_models(folder: Path) -> None:
    """A base model and a checkpoint for each segment, with weights that are a few random bytes."""
    about = {"versions": {}, "created": "2023-11-14T22:13:20+00:00", "seed": 42}
    model = {"system": "mini-base", "repository": None, "revision": None, **about}
    parent = make_model(work(folder) / "models/mini-base/model.json", model)
    for segment in chain():
        prompts = work(folder) / "prompts" / f"{segment.id}.jsonl"
        prompts.parent.mkdir(exist_ok=True)
        prompts.write_text(f'{{"id": "{segment.id}"}}\n', encoding="utf-8")
        place = {"scale": SCALE, "stage": segment.stage, "segment": segment.number, "step": segment.last}
        origin = {"parent": sha256(parent), "prompts_sha256": sha256(prompts), "recipe_digest": "0123456789ab"}
        manifest = {**place, "total_step": segment.total_last, **origin, **about}
        parent = make_model(work(folder) / "checkpoints" / segment.id / "checkpoint.json", manifest)


def make_model(manifest: Path, about: dict[str, object]) -> Path:
    folder = manifest.parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(folder.name.encode() * 100)
    files = {file.name: sha256(file) for file in folder.iterdir()}
    write_json(manifest, {**about, "files": files})
    return manifest


def chain() -> list[dag.Segment]:
    return dag.segments(SCALE)


def make_training(folder: Path, generator: random.Random) -> None:
    paths = []
    for segment in chain():
        rows = []
        for step in range(segment.first + 1, segment.last + 1):
            total = segment.total_last - segment.last + step
            values = {metrics.REWARD: 0.3 + total / 100, metrics.LENGTH: 90 - total + generator.random(),
                      metrics.TRUNCATED: 0.2 - total / 200, metrics.SECONDS: 5.0}  # fmt: skip
            rows.append(metrics.make_row(step, total, segment.stage, segment.id, values))
        paths.append(work(folder) / "checkpoints" / segment.id / "metrics.jsonl")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        write_jsonl(paths[-1], rows)
    collect_metrics(scale_name=SCALE, metrics=paths, output=folder / "results" / SCALE / "training.csv")


def make_benchmark_files(folder: Path) -> None:
    """What Snakemake's `benchmark:` writes for each job."""
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    jobs = [("distill_base", "mini-base", 120.0, "180.5")]
    jobs += [("train_segment", segment.id, 100.0, "150.0") for segment in chain()]
    jobs += [("sample", f"{system}-{suite}-1of1", 36.0, "NA") for system, suite in dag.scored(SCALE)]
    for rule, name, seconds, cpu in jobs:
        path = folder / "logs" / SCALE / rule / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        line = f"{seconds}\t0:00:00\t2048.00\t4096.00\t1.0\t1536.00\t0.0\t0.0\t150.0\t{cpu}\n"
        path.write_text(header + line, encoding="utf-8")


def make_curation(folder: Path) -> None:
    results = folder / "results" / SCALE
    (results / "curation.csv").write_text(
        f"{','.join(COLUMNS)}\nmini-aime,10,1,2,3,0,4\ntotal,10,1,2,3,0,4\n", encoding="utf-8"
    )
    (results / "contamination.csv").write_text("source\n", encoding="utf-8")


def make_reports(folder: Path) -> None:
    """The outputs of reporting's own verbs, up to the report."""
    results = folder / "results" / SCALE
    resolve_settings(scale=SCALE, output=results / "settings.yaml")
    account_compute(scale=SCALE, benchmarks=folder / "logs" / SCALE, output=results / "compute.csv")
    (results / "figures").mkdir()
    for number in range(1, 6):
        (results / "figures" / f"figure-{number}.png").write_bytes(DOT)
        (results / "figures" / f"figure-{number}.pdf").write_bytes(b"%PDF-1.4")
    shutil.copytree(folder / "workflow" / "notebooks", results / "notebooks")
    check_claims(
        scale=SCALE, claims_file=folder / "config" / "claims.yaml", folder=results, output=results / "claims.csv"
    )
    record_provenance(scale=SCALE, folder=results, work=work(folder), output=results / "ro-crate-metadata.json")


def claim(**change: object) -> Claim:
    """A claim that needs no results, with what is changed in it."""
    base = {"id": "x", "statement": "s", "section": "p", "scales": ["mini"], "measure": {"of": "paper", "value": 1},
            "expected": 10, "reason": "r", **EVERY_CLAIM}  # fmt: skip
    return Claim.model_validate(base | change)


EVERY_CLAIM = {"counts": "as a measurement", "comparison": "within", "tolerance": 0, "errors": 0, "unit": ""}


def claim_file(entries: list[dict[str, object]], scales: tuple[str, ...] = ("mini",)) -> dict[str, object]:
    """The content of a file of claims: what the repository's own assumes, and these."""
    effort = {"command": "make mini", "human_minutes": 1, "machine_hours": 1, "machine": "laptop"}
    return {
        "verify": {"error": 0.05, "batch": 4, "samples": 64},
        "effort": dict.fromkeys(scales, effort),
        "arithmetic": effort | {"machine_hours": 0},
        "varies": claims().varies.model_dump(mode="json"),
        "every_claim": {"counts": "as a measurement"},
        "claims": entries,
    }


def plain(entry: Claim) -> dict[str, object]:
    """A claim as it stands in a file."""
    return entry.model_dump(mode="json", exclude_none=True)


def data_of(results: Path, number: int) -> list[Path]:
    """The files that the rule passes to the notebook of a figure."""
    if number == 1:
        return [results / "scores" / f"{point.system}-{point.suite}.json" for point in dag.curve(SCALE)]
    return [results / ("table.csv" if number == 5 else "training.csv")]


def make_job_records(folder: Path) -> None:
    """Snakemake's records of finished jobs, back to the base model and the prompts."""
    results, files = f"results/{SCALE}", f"work/{SCALE}"
    tests = [f"{files}/benchmarks/{name}.parquet" for name in settings.load_scale(SCALE).evaluation.suites["table"]]
    write_record(folder, "distill_base", [], [f"{files}/models/mini-base/model.json"])
    for segment in chain():
        parent = f"checkpoints/{segment.parent}/checkpoint.json" if segment.parent else "models/mini-base/model.json"
        inputs = [f"{files}/{parent}", f"{files}/prompts/{segment.id}.jsonl"]
        write_record(folder, "train_segment", inputs, [f"{files}/checkpoints/{segment.id}/checkpoint.json"])
    for system, suite in dag.scored(SCALE):
        segment_id = dag.checkpoint_of(SCALE, system)
        model = f"checkpoints/{segment_id}/checkpoint.json" if segment_id else f"models/{system}/model.json"
        samples = f"{files}/samples/{system}/{suite}-1of1.parquet"
        grades = f"{files}/grades/{system}/{suite}.parquet"
        write_record(folder, "sample", [f"{files}/{model}", *tests], [samples])
        write_record(folder, "grade_samples", [samples, *tests], [grades])
        write_record(folder, "score", [grades], [f"{results}/scores/{system}-{suite}.json"])
    table = [f"{results}/scores/{system}-table.json" for system in dag.evaluated(SCALE)]
    write_record(folder, "tabulate", table, [f"{results}/table.csv"])


def write_record(folder: Path, rule: str, inputs: list[str], outputs: list[str]) -> None:
    for output in outputs:
        name = base64.urlsafe_b64encode(output.encode()).decode()
        path = folder / ".snakemake" / "metadata" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {"rule": rule, "input": inputs, "log": [f"logs/{rule}.log"], "incomplete": False,
                  "shellcmd": f"deepscaler {rule} --output {output} 2>&1 | tee logs/{rule}.log",
                  "starttime": START, "endtime": START + 10}  # fmt: skip
        path.write_text(json.dumps(record), encoding="utf-8")
