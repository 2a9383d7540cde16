"""Verbs of models."""

from typing import Annotated

import typer

from deepscaler.cli.options import Output, ScaleName, Threads, verb


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the app."""
    verb(app)(distill_base)


def distill_base(
    scale: ScaleName,
    system: Annotated[str, typer.Option(help="A distilled entry of config/models.yaml.")],
    output: Output,
    threads: Threads = 2,
) -> None:
    """Distil the miniature's base model from scratch: about two minutes on two cores.

    OUTPUT is the folder's model.json; the whole folder is put in place at the end. Equal seeds and threads give equal
    weights.
    """
    from deepscaler.models import distill_base as module

    module.distill_base(scale, system, output, threads)
