"""Verbs of reporting: what a reviewer reads."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deepscaler.cli.options import Output, ScaleName, Threads, verb

ResultsFolder = Annotated[Path, typer.Option("--results", help="The scale's folder of results.")]
WorkFolder = Annotated[Path, typer.Option("--work", help="The scale's folder of data, weights and samples.")]


class Depth(StrEnum):
    """How deep an archive is verified."""

    grade = "grade"
    sample = "sample"
    train = "train"


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the app."""
    for function in (
        draw_figure,
        resolve_settings,
        account_compute,
        check_claims,
        verify,
        record_provenance,
        write_report,
        report,
        track,
        judge_rehearsal,
        require_go,
        trace,
        check,
        compare,
        opinions,
        archive,
        reverify,
        publish,
        publish_table,
        write_docs,
    ):
        verb(app)(function)


def draw_figure(
    scale: ScaleName,
    notebook: Annotated[Path, typer.Option(help="The notebook of workflow/notebooks.")],
    data: Annotated[list[Path], typer.Option(help="What it draws: scores, training.csv or table.csv.")],
    png: Annotated[Path, typer.Option(help="Picture to write.")],
    pdf: Annotated[Path, typer.Option(help="Picture to write, for print.")],
    executed: Annotated[Path, typer.Option(help="Where to keep the executed notebook.")],
) -> None:
    """Draw one of the paper's figures: execute its notebook and keep it."""
    from deepscaler.reporting.figures import draw_figure as module

    module.draw_figure(scale=scale, notebook=notebook, data=data, png=png, pdf=pdf, executed=executed)


def resolve_settings(scale: ScaleName, output: Output) -> None:
    """Record a scale's settings with every default filled in, with versions and seeds."""
    from deepscaler.reporting.provenance import resolve_settings as module

    module.resolve_settings(scale=scale, output=output)


def account_compute(
    scale: ScaleName,
    benchmarks: Annotated[Path, typer.Option(help="Folder of Snakemake's benchmark files.")],
    output: Output,
) -> None:
    """Account for what the jobs of a scale took, by rule and stage."""
    from deepscaler.reporting.compute import account_compute as module

    module.account_compute(scale=scale, benchmarks=benchmarks, output=output)


def check_claims(
    scale: ScaleName,
    claims: Annotated[Path, typer.Option(help="The file of claims.")],
    results: ResultsFolder,
    output: Output,
) -> None:
    """Compare a scale's results with every checkable statement of the paper, and of the miniature."""
    from deepscaler.reporting.claims import check_claims as module

    module.check_claims(scale=scale, claims_file=claims, folder=results, output=output)


def verify(
    scale: ScaleName,
    claim: Annotated[list[str] | None, typer.Argument(help="Claims of config/claims.yaml.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All claims of the scale that sampling decides.")] = False,
    budget: Annotated[
        float | None, typer.Option(min=0, help="GPU-hours (at a scale on CPUs core-hours) that this may take.")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Answers to each problem at most.")] = None,
    claims: Annotated[Path | None, typer.Option(help="Another file of claims.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; what happens meanwhile goes to stderr.")] = False,
    threads: Threads = 1,
) -> None:
    """Sample until a claim is met or outside, at a fixed error rate; exit code 0 met, 3 outside, 4 not decided."""
    from deepscaler.reporting.verdicts import verify as module

    code = module.verify(
        scale=scale,
        identifiers=claim or [],
        every=every,
        claims_file=claims,
        budget=budget,
        samples=samples,
        threads=threads,
        as_json=json,
    )
    raise typer.Exit(code)


def record_provenance(scale: ScaleName, results: ResultsFolder, work: WorkFolder, output: Output) -> None:
    """Record every file with its SHA-256 and the job that made it, as a Workflow Run RO-Crate."""
    from deepscaler.reporting.provenance import record_provenance as module

    module.record_provenance(scale=scale, folder=results, work=work, output=output)


def write_report(scale: ScaleName, results: ResultsFolder, work: WorkFolder, output: Output) -> None:
    """Write a scale's report: one self-contained page."""
    from deepscaler.reporting.report import write_report as module

    module.write_report(scale=scale, folder=results, work=work, output=output)


def report(
    scale: ScaleName,
    so_far: Annotated[bool, typer.Option("--so-far", help="Of what there is; a run may go on meanwhile.")] = False,
    output: Annotated[Path | None, typer.Option(help="File to write; without it, so-far.html in results.")] = None,
) -> None:
    """Write the report of a run that goes on, from what there is of it."""
    from deepscaler.reporting.report import so_far as module

    print(f"report so far: {module.report(scale=scale, so_far=so_far, output=output)}")


def track(
    scale: ScaleName,
    sync: Annotated[
        bool, typer.Option("--sync", help="Upload wandb's file as well: the one part that needs a network.")
    ] = False,
) -> None:
    """Write the files of the site's trackers (TensorBoard, trackio, wandb) from what training has recorded."""
    from deepscaler.reporting.tracking import track as module

    for line in module.track(scale=scale, sync=sync):
        print(line, flush=True)


def judge_rehearsal(
    scale: ScaleName,
    work: WorkFolder,
    benchmarks: Annotated[Path, typer.Option(help="Folder of Snakemake's benchmark files.")],
    checks: Annotated[Path, typer.Option(help="Table to write: each check with what was seen, bound and plan.")],
    record: Annotated[Path, typer.Option(help="The same as JSON to write, with the verdict and its reasons.")],
    page: Annotated[Path, typer.Option(help="The same as a page to write.")],
) -> None:
    """Judge what a rehearsal's jobs left: go or no go for the run that it rehearses, and why."""
    from deepscaler.reporting.rehearsal import judge_rehearsal as module

    print(module.judge_rehearsal(scale=scale, work=work, logs=benchmarks, checks=checks, record=record, page_path=page))


def require_go(
    record: Annotated[Path, typer.Option(help="rehearsal.json of judge_rehearsal.")], output: Output
) -> None:
    """Fail where a rehearsal's verdict is no go, with its reasons."""
    from deepscaler.reporting.rehearsal import require_go as module

    print(module.require_go(record=record, output=output))


def trace(
    table: Annotated[Path, typer.Argument(help="A table.csv of results/.")],
    row: Annotated[str | None, typer.Option(help="Follow one system's row: its name or title.")] = None,
    column: Annotated[str | None, typer.Option(help="… and one column, such as aime_2024.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Do again what led from samples to numbers, and compare.")
    ] = False,
    share: Annotated[
        float, typer.Option(min=0.0001, max=1.0, help="With --verify: of the completions that are graded again.")
    ] = 1.0,
    threads: Threads = 1,
) -> None:
    """Print where a table or one of its cells came from, down to sources and seeds."""
    from deepscaler.reporting.provenance import trace as module

    module.trace(table=table, row=row, column=column, verify=verify, share=share, threads=threads)


def check(
    scale: ScaleName = "mini",
    results: Annotated[Path | None, typer.Option(help="The run to check; results/SCALE if not given.")] = None,
    reference: Annotated[Path | None, typer.Option(help="What to compare with; results/reference/SCALE.")] = None,
) -> None:
    """Compare a fresh run with the one that is kept for comparison, with tolerances."""
    from deepscaler.reporting import check as module

    run, kept = results or Path("results") / scale, reference or Path("results/reference") / scale
    module.check(scale=scale, folder=run, reference=kept)


def compare(
    first: Annotated[Path, typer.Argument(help="A checkout with a run, or an archive.")],
    second: Annotated[Path, typer.Argument(help="Another one.")],
    scale: ScaleName = "mini",
) -> None:
    """Tell where two runs of a scale part first: setting, version, prompt, token; exit code 3 where they do."""
    from deepscaler import settings
    from deepscaler.reporting import compare as module

    runs = [module.Run.of(folder, scale, settings.site().work) for folder in (first, second)]
    lines = list(module.compare(*runs))
    print("\n".join(lines))
    if not lines[0].startswith("EQUAL"):
        raise typer.Exit(3)


def opinions(
    scale: ScaleName,
    harness: Annotated[
        list[str] | None, typer.Option(help="Ask only these, such as math-verify; else all that are set up.")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Of each problem the first so many; else all.")] = None,
    results: Annotated[Path | None, typer.Option(help="The run's results; results/SCALE if not given.")] = None,
    work: Annotated[Path | None, typer.Option(help="Its data, weights and samples; SCALE in the work root.")] = None,
    exports: Annotated[bool, typer.Option("--exports", help="Also logs for Inspect's viewer and lm-eval's.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Of a verdict; the harnesses' own limits are shorter.")] = 60,
    memory_mb: Annotated[int, typer.Option(min=256, help="MiB that a verdict may take.")] = 2048,
) -> None:
    """Grade the kept samples by math-verify, lm-eval, lighteval, Inspect, verl and OpenRLHF, too; tell who differs."""
    from deepscaler import settings
    from deepscaler.reporting.opinions import opinions as module
    from deepscaler.reporting.opinions.ask import Limits

    module.opinions(
        scale=scale,
        results=results or settings.run_root() / "results" / scale,
        work=work or settings.run_root() / settings.site().work / scale,
        names=harness or [],
        samples=samples,
        limits=Limits(seconds, memory_mb),
        exports=exports,
    )


def archive(
    scale: ScaleName,
    to: Annotated[Path | None, typer.Option(help="A folder, or a file: .tar, .tar.gz; archives/SCALE.")] = None,
    results: Annotated[Path | None, typer.Option(help="The run's results; results/SCALE if not given.")] = None,
    work: Annotated[Path | None, typer.Option(help="Its data, weights and samples; SCALE in the work root.")] = None,
    weights: Annotated[bool, typer.Option("--weights", help="Also trained weights of 64 MB and more a file.")] = False,
) -> None:
    """Keep a run so that anyone can re-verify it: results, weights, prompts, samples, grades, by digest."""
    from deepscaler import settings
    from deepscaler.reporting.archive import archive as module

    module.archive(
        scale=scale,
        results=results or Path("results") / scale,
        work=work or settings.run_root() / settings.site().work / scale,
        output=to or Path("archives") / scale,
        weights=weights,
    )


def reverify(
    archive: Annotated[Path, typer.Argument(help="An archive: a folder, .tar or .tar.gz.")],
    depth: Annotated[Depth, typer.Option(help="From where on everything is made again.")] = Depth.grade,
    system: Annotated[list[str] | None, typer.Option(help="With `sample`: draw only these systems' samples.")] = None,
    results: Annotated[Path | None, typer.Option(help="With `train`: a run made for this; its results …")] = None,
    work: Annotated[Path | None, typer.Option(help="… and its data, weights and samples.")] = None,
    threads: Threads = 2,
    largest_gb: Annotated[float, typer.Option(min=0, help="The most that an archive may hold, unpacked.")] = 8.0,
) -> None:
    """Hold an archive against itself: make again what it holds, and name what differs."""
    from deepscaler.errors import UserError
    from deepscaler.reporting.archive import reverify as module

    if (results is None) != (work is None) or (results and depth is not Depth.train):
        raise UserError("--results and --work name a run for `--depth train`, and belong together")
    module.reverify(
        archive=archive,
        depth=depth.value,
        systems=system or [],
        run=(results, work) if results and work else None,
        threads=threads,
        largest_gb=largest_gb,
    )


def publish(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint's folder, or its checkpoint.json.")],
    to: Annotated[Path, typer.Option(help="Folder to make, in the form of a repository of the Hugging Face hub.")],
) -> None:
    """Lay out a checkpoint as `hf upload` takes it: weights, tokenizer, sampling, and a card with its scores."""
    from deepscaler.reporting.publication import publish as module

    module.publish(checkpoint=checkpoint, to=to)


def publish_table(
    scale: ScaleName,
    table: Annotated[Path, typer.Option(help="The scale's table.csv.")],
    output: Output,
) -> None:
    """Copy the finished table to results/table.csv."""
    from deepscaler.reporting import publish_table as module

    module.publish_table(scale=scale, table=table, output=output)


def write_docs(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where a file is out of date.")] = False,
) -> None:
    """Fill in the numbers of README.md and docs/ from their sources."""
    from deepscaler.maintenance import write_docs as module

    module.write_docs(check=check)
