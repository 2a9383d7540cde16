"""Verbs of training."""

from pathlib import Path
from typing import Annotated

import typer

from deepscaler.cli.options import PEOPLE_VERBS, Output, ScaleName, verb

Segment = Annotated[str, typer.Option("--segment", help="A segment of the scale's chain, such as 8k-1.")]


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the app."""
    for function in (schedule_prompts, train_segment, collect_metrics, command, rollouts, replay):
        verb(app)(function)
    checkpoint = typer.Typer(help="Checkpoints: what they are and where they came from.", no_args_is_help=True)
    checkpoint.command("verify")(verify_checkpoint)
    app.add_typer(checkpoint, name="checkpoint", rich_help_panel=PEOPLE_VERBS)


def schedule_prompts(
    scale: ScaleName,
    segment: Segment,
    problems: Annotated[Path, typer.Option(help="The curated training problems, a Parquet table.")],
    output: Output,
) -> None:
    """Write the prompts of a segment in the order in which they will be trained on."""
    from deepscaler.training import schedule_prompts as module

    lines = module.schedule_prompts(scale_name=scale, segment_id=segment, problems=problems, output=output)
    print(f"{lines} prompts for segment {segment}")


def train_segment(
    scale: ScaleName,
    segment: Segment,
    parent: Annotated[Path, typer.Option(help="model.json of the base model, or checkpoint.json of the one before.")],
    prompts: Annotated[Path, typer.Option(help="The segment's prompts, by schedule_prompts.")],
    runs: Annotated[Path, typer.Option(help="Folder for unfinished work, kept when a job fails.")],
    output: Output,
) -> None:
    """Train one segment with OpenRLHF, from where a killed job left off.

    OUTPUT is the checkpoint's checkpoint.json; its whole folder is put in place at the end.
    """
    from deepscaler.training import train_segment as module
    from deepscaler.training.watch.guard import guard

    module.train_segment(
        scale_name=scale,
        segment_id=segment,
        parent=parent,
        prompts=prompts,
        runs=runs,
        output=output,
        on_step=guard(scale, segment, runs),
    )


def collect_metrics(
    scale: ScaleName,
    metrics: Annotated[list[Path], typer.Option(help="metrics.jsonl of every segment, in the chain's order.")],
    output: Output,
) -> None:
    """Gather the metrics of every training step in one table."""
    from deepscaler.training import collect_metrics as module

    print(f"{module.collect_metrics(scale_name=scale, metrics=metrics, output=output)} steps")


def command(
    scale: ScaleName,
    segment: Segment,
    explain: Annotated[
        bool, typer.Option("--explain", help="Add where each flag's value comes from, and what the original had.")
    ] = False,
) -> None:
    """Print the OpenRLHF command of a segment with its environment, ready for a shell. Starts nothing."""
    from deepscaler.training import command as module

    print(module.command(scale_name=scale, segment_id=segment, explain=explain))


def rollouts(
    step: Annotated[int, typer.Option("--step", help="A step by its total_step in training.csv.")],
    scale: ScaleName = "mini",
    skip: Annotated[int, typer.Option(min=0, help="Samples to pass over.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="Samples to show.")] = 8,
    characters: Annotated[int, typer.Option(min=10, help="Of a text: its beginning and its end.")] = 1200,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line, with whole texts.")] = False,
) -> None:
    """Show what a training step was trained on: prompt, response, answer, reward, and why."""
    from deepscaler.training import rollouts as module

    module.rollouts(scale_name=scale, total_step=step, skip=skip, limit=limit, characters=characters, as_json=json)


def replay(
    scale: ScaleName = "mini",
    step: Annotated[int | None, typer.Option("--step", help="A step by its total_step in training.csv.")] = None,
    segment: Annotated[str | None, typer.Option("--segment", help="All steps of a segment, such as 8k-1.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All steps.")] = False,
) -> None:
    """Grade and train again from kept rollouts, without an engine, and compare with what was logged."""
    from deepscaler.training.replay import replay as module

    module.replay(scale_name=scale, total_step=step, segment_id=segment, every=every)


def verify_checkpoint(
    manifest: Annotated[Path, typer.Argument(help="A checkpoint.json (or the model.json of a base model).")],
) -> None:
    """Prove a checkpoint's lineage: every file and every parent back to the base model, by SHA-256."""
    from deepscaler.records import Checkpoint
    from deepscaler.training.run.checkpoint import lineage

    for path, found in lineage(manifest):
        name = (
            f"{found.stage}-{found.segment}, total step {found.total_step}, seed {found.seed}"
            if isinstance(found, Checkpoint)
            else f"base model {found.system}"
        )
        print(f"{name}: {len(found.files)} files as recorded [{path}]", flush=True)
    print("the lineage is whole")
