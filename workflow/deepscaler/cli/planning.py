"""Verbs before and during a run: what it will cost, whether a machine is ready for it, and its progress."""

from pathlib import Path
from typing import Annotated

import typer

from deepscaler.cli.options import ScaleName, verb


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the app."""
    for function in (plan, approve, status, preflight):
        verb(app)(function)


def plan(
    scale: ScaleName,
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
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Price a scale before anything starts: GPU-hours, dollars, wall time, disk and memory."""
    from deepscaler.reporting.compute import plan as module

    print(module.plan(scale=scale, changes=what_if or [], from_run=from_run, as_json=json))


def approve(
    scale: ScaleName,
    gpu_hours: Annotated[float, typer.Option("--gpu-hours", help="All that the scale may use, as `plan` gives it.")],
) -> None:
    """Approve what a scale may spend; nothing is trained or sampled on GPUs beyond it."""
    from deepscaler import settings

    print(f"approved: {gpu_hours:g} GPU-hours for scale {scale} [{settings.approve(scale, gpu_hours)}]")


def status(scale: ScaleName) -> None:
    """Show the progress of a run: stage, step, time left, GPU-hours, the last metrics as curves. Reads files only."""
    from rich.console import Console

    from deepscaler.reporting.compute import status as module

    module.status(scale=scale, console=Console())


def preflight(
    scale: ScaleName,
    segment: Annotated[
        str | None, typer.Option(help="Check for the stage of this segment; without it, for all stages.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Record to write where nothing is missing.")] = None,
) -> None:
    """Check that this machine is ready to train, or to sample where a scale trains nothing; list what is missing."""
    from deepscaler.training import preflight as module

    module.preflight(scale_name=scale, segment_id=segment, output=output)
