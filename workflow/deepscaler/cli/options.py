"""What all verbs share: options that take several values, and the options that many verbs have.

    from deepscaler.cli.options import ScaleName, verb

    def register(app: typer.Typer) -> None:
        for function in (deduplicate, …):
            verb(app)(function)

    def deduplicate(scale: ScaleName, problems: Annotated[list[Path], typer.Option(help="…")]) -> None:
        "One line of help."

`deepscaler deduplicate --scale mini --problems a.parquet b.parquet` then gives `problems` both files. A verb imports
the module of its name when it runs, and calls its function by keyword.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from deepscaler.settings.rules import RULES

PEOPLE_VERBS, RULE_VERBS = "For people", "Rules of the workflow, which Snakemake calls"
Function = TypeVar("Function", bound=Callable[..., Any])

ScaleName = Annotated[str, typer.Option("--scale", help="A scale: a file of config/scales/, without its suffix.")]
Output = Annotated[Path, typer.Option("--output", help="File to write.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="CPU cores to use.")]


class Verb(TyperCommand):
    """A command whose list options take all values up to the next option: `--problems a b c`.

    One that is not required may be there without any, as a rule writes it that has no such input.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        lists = [parameter for parameter in self.params if getattr(parameter, "multiple", False)]
        several = {name for parameter in lists for name in parameter.opts}
        optional = {name for parameter in lists if not parameter.required for name in parameter.opts}
        return super().parse_args(ctx, list(repeat_names(without_empty(args, optional), several)))


def without_empty(args: list[str], optional: set[str]) -> list[str]:
    """Leave out the options named in `optional` that have no value; after `--` all stays as it is."""
    end = args.index("--") if "--" in args else len(args)
    following = [*args[:end], "--"][1:]
    named = zip(args[:end], following, strict=True)
    return [name for name, value in named if not (name in optional and value.startswith("-"))] + args[end:]


def repeat_names(args: list[str], several: set[str]) -> Iterator[str]:
    """`--x a b` as `--x a --x b`, for the options named in `several`; after `--` all stays as it is."""
    current, values = None, 0
    for index, argument in enumerate(args):
        if argument == "--":
            yield from args[index:]
            return
        if argument.startswith("-") and argument != "-":
            current, values = (argument if argument in several else None), 0
        elif current:
            values += 1
            if values > 1:
                yield current
        yield argument


def verb(app: typer.Typer) -> Callable[[Function], Function]:
    """Add a function to the app as the verb of its own name."""

    def add(function: Function) -> Function:
        panel = RULE_VERBS if function.__name__ in RULES else PEOPLE_VERBS
        app.command(function.__name__, cls=Verb, rich_help_panel=panel)(function)
        return function

    return add
