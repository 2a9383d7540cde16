"""Verbs of training."""

import typer


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the app."""
