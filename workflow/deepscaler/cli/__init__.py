"""One verb a rule: `deepscaler VERB --help`. Each module registers the verbs of one noun."""

import io
import os
import sys
import warnings

import typer

from deepscaler import caches, environment
from deepscaler.errors import DeepscalerError
from deepscaler.text import printable


def build() -> typer.Typer:
    from deepscaler.cli import data, evaluation, models, planning, project, reporting, reward, site, training

    app = typer.Typer(
        name="deepscaler",
        help="DeepScaleR as a reproducible workflow. A verb for every rule, and a few for people.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(prepare)
    # the help has a panel for each kind of verb, in the order in which they come: what people type first
    for module in (planning, site, training, reporting, reward, data, models, evaluation, project):
        module.register(app)
    return app


def prepare() -> None:
    """The same surroundings for every verb and all that it starts, whoever's shell it is."""
    # torch says so of a package that others of the environment ask for
    warnings.filterwarnings("ignore", "The pynvml package is deprecated", FutureWarning)
    environment.settle(os.environ)
    caches.use_own_caches(os.environ)


def main() -> None:
    """Run the CLI; an expected failure is one line on stderr and an exit code (2 bad input, 1 failed job)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # Threads that wait for each other give their cores away: where other programs want them too, spinning makes a job
    # several times slower (docs/performance/distillation.md)
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    try:
        build()()
    except DeepscalerError as error:
        print(printable(f"deepscaler: {error}"), file=sys.stderr)
        sys.exit(error.exit_code)
