"""Verbs of evaluation."""

from pathlib import Path
from typing import Annotated

import typer

from deepscaler.cli.options import Output, ScaleName, Threads, verb

System = Annotated[str, typer.Option(help="A system of config/models.yaml, or a checkpoint such as 8k-1.")]
Benchmarks = Annotated[list[Path], typer.Option(help="Benchmark tables, in the suite's order.")]


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the app."""
    for function in (fetch_benchmark, sample, grade_samples, score, tabulate):
        verb(app)(function)


def fetch_benchmark(
    scale: ScaleName,
    benchmark: Annotated[str, typer.Option(help="An entry of config/benchmarks.yaml.")],
    output: Output,
    description: Annotated[Path | None, typer.Option(help="Croissant file to write, in the same folder.")] = None,
) -> None:
    """Fetch a benchmark by its pin, or draw a synthetic one."""
    from deepscaler.evaluation import fetch_benchmark as module

    module.fetch_benchmark(benchmark=benchmark, output=output, description=description)


def sample(
    scale: ScaleName,
    system: System,
    model: Annotated[Path, typer.Option(help="The model's manifest: model.json or checkpoint.json.")],
    benchmarks: Benchmarks,
    output: Output,
    shard: Annotated[int, typer.Option(min=1, help="Which shard, from 1.")] = 1,
    shards: Annotated[int, typer.Option(min=1, help="Into how many the samples are cut.")] = 1,
) -> None:
    """Sample a model on a suite of benchmarks with vLLM; a killed shard resumes."""
    from deepscaler import settings
    from deepscaler.evaluation import sample as module
    from deepscaler.training.watch.budget import require_sampling

    require_sampling(scale, settings.run_root() / settings.site().work / scale)
    module.sample(
        scale=scale, system=system, model=model, benchmarks=benchmarks, shard=shard, shards=shards, output=output
    )


def grade_samples(
    scale: ScaleName,
    system: System,
    samples: Annotated[list[Path], typer.Option(help="All shards of a suite.")],
    benchmarks: Benchmarks,
    output: Output,
    threads: Threads = 1,
) -> None:
    """Grade samples in both modes of the reward."""
    from deepscaler.evaluation import grade_samples as module

    module.grade_samples(
        scale=scale, system=system, samples=samples, benchmarks=benchmarks, output=output, threads=threads
    )


def score(
    scale: ScaleName,
    system: System,
    suite: Annotated[str, typer.Option(help="A suite of the scale's evaluation.")],
    grades: Annotated[Path, typer.Option(help="The suite's grades.")],
    output: Output,
) -> None:
    """Score graded samples: Pass@1 with errors, pass@k, majority, truncation, tokens."""
    from deepscaler.evaluation import score as module

    module.score(scale=scale, system=system, suite=suite, grades=grades, output=output)


def tabulate(
    scale: ScaleName,
    scores: Annotated[list[Path], typer.Option(help="Scores of every system of the table.")],
    grades: Annotated[list[Path], typer.Option(help="Grades of every system of the table.")],
    curve_scores: Annotated[list[Path], typer.Option(help="Scores along training.")],
    table: Annotated[Path, typer.Option(help="table.csv")],
    markdown: Annotated[Path, typer.Option(help="table.md: beside the paper's numbers.")],
    tokens: Annotated[Path, typer.Option(help="tokens.csv: tokens of right, wrong and all answers.")],
    agreement: Annotated[Path, typer.Option(help="agreement.csv: how far the two graders differ.")],
    comparisons: Annotated[Path, typer.Option(help="comparisons.csv: paired differences between systems.")],
    curve: Annotated[Path, typer.Option(help="curve.csv: the scores along training.")],
) -> None:
    """Write the tables of a scale."""
    from deepscaler.evaluation import tabulate as module

    module.tabulate(
        scale=scale,
        scores=scores,
        grades=grades,
        curve_scores=curve_scores,
        table=table,
        markdown=markdown,
        tokens=tokens,
        agreement=agreement,
        comparisons=comparisons,
        curve=curve,
    )
