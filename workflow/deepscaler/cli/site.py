"""Verbs of a site: what a cluster must grant before anything starts."""

from typing import Annotated

import typer

from deepscaler.cli.options import ScaleName, verb


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the app."""
    verb(app)(check_site)
    verb(app)(alerts)


def check_site(scale: ScaleName = "paper") -> None:
    """Ask SLURM whether it would accept each kind of job of a scale, and whether the work folder is writable."""
    from deepscaler.controller import before_submission, slurm_requests

    print(f"writable: {slurm_requests.check_work()}")
    for line in slurm_requests.check(before_submission.submissions_of(scale)):
        print(f"accepted: {line}", flush=True)
    print("groups of small jobs: each run asks for its own before its first job, when it knows what they hold")


def alerts(
    scale: ScaleName = "paper",
    test: Annotated[bool, typer.Option("--test", help="Send a message to every address now.")] = False,
) -> None:
    """Send what a run has to tell and could not yet; with --test, see whether every address takes a message."""
    from deepscaler.alerts import send

    send.by_hand(scale, test=test)
