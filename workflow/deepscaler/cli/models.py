"""Verbs of models."""

from typing import Annotated

import typer

from deepscaler.cli.options import Output, ScaleName, Threads, verb


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the app."""
    for function in (fetch_model, distill_base):
        verb(app)(function)


def fetch_model(
    scale: ScaleName,
    system: Annotated[str, typer.Option(help="A published entry of config/models.yaml.")],
    output: Output,
) -> None:
    """Fetch a published model by its pin. OUTPUT is the folder's model.json; an interrupted fetch resumes."""
    from deepscaler.models import fetch_model as module

    module.fetch_model(system=system, output=output)


def distill_base(
    scale: ScaleName,
    system: Annotated[str, typer.Option(help="A distilled entry of config/models.yaml.")],
    output: Output,
    threads: Threads = 2,
) -> None:
    """Distil the miniature's base model from scratch: a minute or two on one core.

    OUTPUT is the folder's model.json; the whole folder is put in place at the end. Equal seeds and threads give equal
    weights.
    """
    from deepscaler.models import distill_base as module

    module.distill_base(scale=scale, system=system, output=output, threads=threads)
