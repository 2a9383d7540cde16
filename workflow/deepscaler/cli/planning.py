"""Verbs before and during a run: what it will cost, whether a machine is ready for it, and its progress."""

from pathlib import Path
from typing import Annotated

import typer

from deepscaler.cli.options import ScaleName, verb
from deepscaler.errors import UserError


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the app."""
    for function in (plan, approve, status, preflight):
        verb(app)(function)


def plan(
    scale: Annotated[
        str | None, typer.Option("--scale", help="A scale to price; without it, what can be done within limits.")
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            help="Changes to price, e.g. `gpus=16`, `gpus.8k=4`, `card=h200`, `samples=8`, `async`; `standard` "
            "adds the table of the usual ones. docs/plan.md explains each.",
        ),
    ] = None,
    from_run: Annotated[
        Path | None,
        typer.Option(help="Refit to a run: metrics.jsonl or training.csv, compute.csv, or a folder of them."),
    ] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", help="GPUs at hand: 1 to 8, or whole nodes of 8.")] = None,
    card: Annotated[str | None, typer.Option("--card", help="Their kind: a100, h100, rtx4090, …")] = None,
    hours: Annotated[float | None, typer.Option("--hours", help="Wall hours that they may work.")] = None,
    dollars: Annotated[float | None, typer.Option("--dollars", help="What they may cost.")] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", help="Dollars a GPU-hour; without it, an A100's as the scales have it.")
    ] = None,
    memory_gb: Annotated[float | None, typer.Option("--memory-gb", help="Of a GPU, where less is free.")] = None,
    write: Annotated[str | None, typer.Option("--write", help="Write a choice as a scale of this name.")] = None,
    row: Annotated[int | None, typer.Option("--row", help="Which choice; without it, the first.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Price a scale before anything starts, or list what can be done with these GPUs, hours and dollars."""
    limits = (gpus, card, hours, dollars, rate, memory_gb, write, row)
    if scale is not None:
        if any(value is not None for value in limits):
            raise UserError("a scale has its own machines", "--scale", "leave it out to see what fits these limits")
        from deepscaler.reporting.compute import plan as module

        print(module.plan(scale=scale, changes=what_if or [], from_run=from_run, as_json=json))
        return
    if what_if or from_run:
        raise UserError("which scale is meant?", "plan", "add --scale, e.g. --scale paper")
    from deepscaler.reporting.compute.within.machine import machine
    from deepscaler.reporting.compute.within.within import within

    at_hand = machine(
        gpus=gpus, card_name=card, hours=hours, dollars=dollars, memory_gb=memory_gb, dollars_per_gpu_hour=rate
    )
    print(within(at_hand, write=write, row=row, as_json=json))


def approve(
    scale: ScaleName,
    gpu_hours: Annotated[float, typer.Option("--gpu-hours", help="All that the scale may use, as `plan` gives it.")],
) -> None:
    """Approve what a scale may spend; nothing is trained or sampled on GPUs beyond it."""
    from deepscaler import settings

    print(f"approved: {gpu_hours:g} GPU-hours for scale {scale} [{settings.approve(scale, gpu_hours)}]")


def status(
    scale: ScaleName,
    whole: Annotated[bool, typer.Option("--all", help="Every checkpoint, curve and finding, not one screen.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every ten seconds, until Ctrl-C.")] = False,
) -> None:
    """Show the progress of a run: stage, step, time left, GPU-hours, metrics, scores, findings. Reads files only."""
    from rich.console import Console

    from deepscaler.reporting.compute import status as module

    module.status(scale=scale, console=Console(), whole=whole, watch=watch)


def preflight(
    scale: ScaleName,
    segment: Annotated[
        str | None, typer.Option(help="Check for the stage of this segment; without it, for all stages.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Record to write where nothing is missing.")] = None,
    this_node: Annotated[
        bool, typer.Option("--this-node", help="In a rehearsal: this machine alone, not all of the job's nodes.")
    ] = False,
) -> None:
    """Check that this machine is ready to train, or to sample where a scale trains nothing; list what is missing."""
    from deepscaler.training import preflight as module

    module.preflight(scale_name=scale, segment_id=segment, output=output, this_node=this_node)
