"""Verbs of the project itself."""

from typing import Annotated

import typer

from deepscaler.cli.options import verb


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the app."""
    for function in (schemas, about):
        verb(app)(function)


def schemas(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where a file is out of date.")] = False,
) -> None:
    """Write workflow/schemas/: JSON Schema of every settings file, for editors that complete and check YAML."""
    from deepscaler.maintenance import schemas as module

    for path in module.schemas(check=check):
        print(path)


def about(
    scale: Annotated[str | None, typer.Option(help="Also the digest of this scale's settings.")] = None,
) -> None:
    """Print what a report of a fault needs: versions, computer, settings' digest; no paths, no names."""
    from deepscaler.maintenance import about as module

    for line in module.about(scale):
        print(line)
