"""What was typed after `snakemake`, and the settings files, checked before the DAG is built."""

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from pathlib import PurePath
from typing import Any

from deepscaler import dag
from deepscaler.errors import UserError, nearest, refuse_unknown
from deepscaler.settings.load import left_out, load_scale, scale_names, site
from deepscaler.text import printable

DEFAULT = "mini"
"""The scale of the Snakefile's default target."""
PUBLISHED = "results/table.csv"
"""A copy of the paper's table, the one result outside of its scale's folder."""


def exit_on_error(check: Callable[..., Any], *arguments: Any) -> Any:
    """Run a check of what the user gave, and exit with its one line: Snakemake would print the rules' source too."""
    try:
        return check(*arguments)
    except UserError as error:
        print(printable(f"deepscaler: {error}"), file=sys.stderr)
        sys.exit(error.exit_code)


def check_targets(arguments: Sequence[str], rules: Iterable[str]) -> None:
    """Refuse what no rule could make, with the nearest name: a path of an unknown scale, a misspelt rule.

    `arguments` is the whole command line. A word after an option may be the option's value, and is left to Snakemake.
    """
    known = [*rules]
    for word in arguments[1:]:
        name = scale_in(word)
        if name is not None and name not in scale_names():
            raise refuse_unknown("scale", name, scale_names(), word)
        if name is not None and PurePath(word).parent == PurePath("results", name, "scores"):
            check_scores(name, word)
    for word in takewhile(lambda argument: not argument.startswith("-"), arguments[1:]):
        if "/" not in word and word not in known:
            guess = nearest(word, known)
            hint = f"did you mean {guess!r}?" if guess else f"scales: {', '.join(scale_names())}; or a file: results/…"
            raise UserError(f"no rule or scale {word!r}", "the command line", hint)


def check_scores(scale_name: str, target: str) -> None:
    """Refuse the scores of a system or a suite that the scale does not have: any can be asked for alone."""
    system, _, suite = PurePath(target).stem.rpartition("-")
    systems = [*dag.evaluated(scale_name), *(segment.id for segment in dag.segments(scale_name))]
    if system not in systems:
        raise refuse_unknown("system", system, systems, target)
    suites = list(load_scale(scale_name).evaluation.suites)
    if suite not in suites:
        raise refuse_unknown("suite", suite, suites, target)


def scale_in(target: str) -> str | None:
    """The scale that a path below results/, logs/ or the work root belongs to; None for other words."""
    for root in ("results", "logs", site().work):
        try:
            parts = PurePath(target).relative_to(root).parts
        except ValueError:
            continue
        return parts[0] if len(parts) > 1 else None
    return None


def asked_scales(arguments: Sequence[str]) -> list[str]:
    """The scales that a command line asks for, by a rule of their name or by a path below them; else the default."""
    words = ["paper" if word == PUBLISHED else word for word in arguments[1:]]
    named = [word for word in words if word in scale_names()] + [name for word in words if (name := scale_in(word))]
    return list(dict.fromkeys(named)) or [DEFAULT]


def check_settings(arguments: Sequence[str]) -> list[str]:
    """The scales that can be used. One that is asked for must be right: the first thing that is wrong is a UserError.

    A broken file of another scale stops that scale alone, and is not reported here (see `remarks`).
    """
    if set(site().work) & set("{}"):
        raise UserError("`work` must not have braces, which Snakemake takes for wildcards", site().work)
    asked, usable = asked_scales(arguments), []
    for name in scale_names():
        try:
            load_scale(name)
            usable.append(name)
        except UserError:
            if name in asked:
                raise
    if not usable:
        load_scale(scale_names()[0])
    return usable


def remarks(arguments: Sequence[str]) -> list[str]:
    """What a user should know before the DAG is built, a line each: broken scales, what a recipe leaves unused."""
    asked, lines = asked_scales(arguments), []
    for name in scale_names():
        try:
            if (line := left_out(name)) and name in asked:
                lines.append(line)
        except UserError as error:
            lines.append(f"warning: scale {name!r} can't be used: {error}")
    return lines
