"""Verbs of data: from sources to the training set, and what it is made of."""

from pathlib import Path
from typing import Annotated

import typer

from deepscaler import settings
from deepscaler.cli.options import Output, ScaleName, Threads, verb
from deepscaler.errors import UserError, refuse_unknown
from deepscaler.settings.curation import Curation

Problems = Annotated[Path, typer.Option("--problems", help="Table of problems to read.")]
ProblemFiles = Annotated[list[Path], typer.Option("--problems", help="Tables of problems, the best source first.")]
Removed = Annotated[Path, typer.Option("--removed", help="File to write: removed rows, with step and reason.")]
Review = Annotated[Path, typer.Option("--review", help="CSV to write: doubtful cases, for people to check.")]


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the app."""
    for function in (
        fetch_source,
        extract_answers,
        deduplicate,
        decontaminate,
        select_gradable,
        summarise_curation,
        pin,
    ):
        verb(app)(function)


def curation_of(scale: str) -> Curation:
    curation = settings.load_scale(scale).curation
    if curation is None:
        raise UserError(f"scale {scale!r} has no `curation`", f"config/scales/{scale}.yaml")
    return curation


def replies_file(scale: str, job: str) -> Path:
    """The file of a job's replies from a language model; no output of a rule, so that a rerun finds it."""
    return Path(settings.site().work) / scale / "data" / "replies" / f"{job}.jsonl"


def fetch_source(
    scale: ScaleName,
    source: Annotated[str, typer.Option(help="A source of config/sources.yaml.")],
    output: Output,
) -> None:
    """Fetch a source by its pin, and write its rows as a table of problems."""
    from deepscaler.curation import fetch_source as module

    settings.load_scale(scale)  # an unknown scale is refused
    module.fetch_source(source=source, output=output)


def extract_answers(scale: ScaleName, problems: Problems, output: Output, removed: Removed, review: Review) -> None:
    """Find every problem's answer: given, boxed, behind a choice's letter, or read by a language model."""
    from deepscaler.curation import extract_answers as module

    replies = replies_file(scale, f"extract_answers-{problems.stem}")
    module.extract_answers(
        problems=problems,
        output=output,
        removed=removed,
        review=review,
        settings=curation_of(scale).extract_answers,
        cache=replies,
    )


def deduplicate(
    scale: ScaleName,
    problems: ProblemFiles,
    output: Output,
    vectors: Annotated[Path, typer.Option(help="File to write: the embeddings of the kept problems.")],
    removed: Removed,
    review: Review,
    threads: Threads = 1,
) -> None:
    """Keep one of each group of duplicates: of the best source, the earliest."""
    from deepscaler.curation import deduplicate as module
    from deepscaler.curation.llm.same_problem import judge_by

    curation = curation_of(scale)
    model = curation.deduplicate.judge
    module.deduplicate(
        problems=problems,
        output=output,
        vectors=vectors,
        removed=removed,
        review=review,
        settings=curation.deduplicate,
        embedding=curation.embedding,
        wording=curation.wording,
        threads=threads,
        mirror=settings.site().hub,
        judge=judge_by(model, replies_file(scale, "deduplicate")) if model else None,
    )


def decontaminate(
    scale: ScaleName,
    problems: Problems,
    vectors: Annotated[Path, typer.Option(help="The problems' embeddings, as `deduplicate` writes them.")],
    benchmarks: Annotated[list[Path], typer.Option(help="The benchmarks' tables.")],
    output: Output,
    removed: Removed,
    report: Annotated[Path, typer.Option(help="CSV to write: overlapping pairs side by side.")],
    threads: Threads = 1,
) -> None:
    """Remove what a benchmark holds too: by exact text, by shared runs of words, by wording, by embedding."""
    from deepscaler.curation import decontaminate as module

    curation = curation_of(scale)
    module.decontaminate(
        problems=problems,
        vectors=vectors,
        benchmarks=benchmarks,
        output=output,
        removed=removed,
        report=report,
        settings=curation.decontaminate,
        embedding=curation.embedding,
        wording=curation.wording,
        threads=threads,
        mirror=settings.site().hub,
    )


def select_gradable(
    scale: ScaleName,
    problems: Problems,
    output: Output,
    removed: Removed,
    model: Annotated[
        list[Path] | None,
        typer.Option(help="model.json of the base model, whose tokenizer counts; none where it is distilled."),
    ] = None,
) -> None:
    """Keep what the reward can grade and the prompt's limit holds: the training set."""
    from deepscaler.curation import select_gradable as module
    from deepscaler.dag.systems import prompting_entry
    from deepscaler.miniature.tokenizer import tokenizer_for
    from deepscaler.models.templates import load_tokenizer, prompt_token_ids, special_tokens

    curation = curation_of(scale)
    base = settings.load_scale(scale).base
    assert base is not None  # settings.scale: training and curation need one
    prompting = prompting_entry(scale, base).prompting
    tokenizer = load_tokenizer(model[0].parent) if model else tokenizer_for(prompting)
    module.select_gradable(
        problems=problems,
        output=output,
        removed=removed,
        settings=curation.select_gradable,
        count_tokens=lambda problem: len(prompt_token_ids(tokenizer, problem, prompting)),
        reserved=special_tokens(tokenizer),
    )


def summarise_curation(
    scale: ScaleName,
    sources: Annotated[list[Path], typer.Option(help="The sources' tables.")],
    removed_parts: Annotated[list[Path], typer.Option(help="What each step removed.")],
    train: Annotated[Path, typer.Option(help="The training set.")],
    funnel: Annotated[Path, typer.Option(help="CSV to write: source × step.")],
    removed: Removed,
    card: Annotated[Path, typer.Option(help="Dataset card to write, beside the training set.")],
    description: Annotated[Path, typer.Option(help="Croissant file to write, beside the training set.")],
    found: Annotated[Path, typer.Option(help="What `decontaminate` found: pairs side by side.")],
    contamination: Annotated[Path, typer.Option(help="CSV to write: the same, among the results.")],
) -> None:
    """Count what every source brought, lost at each step and kept; fail if the rows do not add up."""
    from deepscaler.curation import summarise_curation as module

    selection = curation_of(scale).select_gradable
    module.summarise_curation(
        sources=sources,
        removed_parts=removed_parts,
        train=train,
        funnel=funnel,
        removed=removed,
        card=card,
        description=description,
        found=found,
        contamination=contamination,
        scale=scale,
        selection=selection,
    )


def pin(
    names: Annotated[list[str] | None, typer.Argument(help="Sources, models and benchmarks; all without this.")] = None,
) -> None:
    """Look up what is fetched, as it is today: its commits and SHA-256. Needs the network, or a mirror for sources.

    Sources are written to config/sources.lock.yaml, which every later fetch is compared with. Models and benchmarks are
    printed, as YAML for config/.
    """
    from deepscaler.curation.pin import pin as pin_sources
    from deepscaler.models.pin import pin as pin_others
    from deepscaler.models.pin import pins as others_known

    for name in names or []:
        if name not in (known := [*settings.sources(), *others_known()]):
            raise refuse_unknown("source, model or benchmark of the hub", name, known)
    sources = [name for name in names or [] if name in settings.sources()]
    others = [name for name in names or [] if name not in sources]
    if sources or not names:
        pin_sources(names=sources, lock=settings.project_root() / "config" / "sources.lock.yaml")
    if others or not names:
        for line in pin_others(names=others):
            print(line)
