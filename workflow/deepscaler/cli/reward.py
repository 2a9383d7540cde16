"""Verbs of the reward: grading one pair of answers or a file of any length."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from deepscaler.cli.options import verb
from deepscaler.errors import UserError, refuse_unknown
from deepscaler.files import read_jsonl
from deepscaler.text import printable


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the app."""
    verb(app)(grade)


def grade(
    pairs: Annotated[Path | None, typer.Option(help='JSON Lines: {"id", "gold", "prediction"}.')] = None,
    responses: Annotated[Path | None, typer.Option(help='JSON Lines: {"id", "golds", "response"}.')] = None,
    verdicts: Annotated[Path | None, typer.Option(help='To write: {"id", "correct", "reason"} a line.')] = None,
    mode: Annotated[str, typer.Option(help="paper (as DeepScaleR's grader) or strict (equivalence).")] = "paper",
    think: Annotated[str, typer.Option(help="Tags of a response: required, prefilled or none.")] = "prefilled",
    workers: Annotated[int, typer.Option(min=1, help="Grading processes.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.05, help="Limit of one verdict; beyond it 0.")] = 1.0,
    memory_mb: Annotated[int, typer.Option(min=256, help="Address space of a grading process.")] = 512,
    explain: Annotated[bool, typer.Option("--explain", help="Show what each layer sees of one pair.")] = False,
    gold: Annotated[str | None, typer.Option(help="With --explain: the gold answer.")] = None,
    prediction: Annotated[str | None, typer.Option(help="With --explain: the answer to judge.")] = None,
    line_id: Annotated[str | None, typer.Option("--id", help="With --explain --pairs: which line.")] = None,
) -> None:
    """Grade pairs of answers, or whole responses, in guarded processes."""
    from deepscaler.reward.pool import GradingPool
    from deepscaler.reward.verdicts import MODES, THINK_RULES

    check_known(mode, "mode", MODES)
    check_known(think, "think rule", THINK_RULES)
    pool = GradingPool(workers=workers, seconds=seconds, memory_mb=memory_mb)
    if explain:
        golds, answer = (gold, prediction) if gold is not None else pair_of(pairs, line_id)
        explain_pair(golds, answer, mode, pool)
    else:
        grade_file(pairs, responses, verdicts, mode, think, pool)


def check_known(word: str, kind: str, known: tuple[Any, ...]) -> None:
    if word not in known:
        raise refuse_unknown(kind, word, known)


def grade_file(
    pairs: Path | None, responses: Path | None, verdicts: Path | None, mode: Any, think: Any, pool: Any
) -> None:
    from deepscaler.reward.stream import grade_pairs_file, grade_responses_file

    source = pairs or responses
    if source is None or (pairs and responses) or verdicts is None:
        raise UserError("nothing to grade", hint="give --pairs or --responses, and --verdicts for the result")
    if not source.is_file():
        raise UserError("no such file", source)
    with pool:
        if pairs:
            summary = grade_pairs_file(source, verdicts, mode, pool)
        else:
            summary = grade_responses_file(source, verdicts, mode, think, pool)
    print(
        f"{summary.lines} graded: {summary.correct} correct, {summary.unreadable} unreadable lines, "
        f"{pool.killed} killed, {pool.hits} repeated",
        file=sys.stderr,
    )


def pair_of(pairs: Path | None, line_id: str | None) -> tuple[Any, Any]:
    """The golds and prediction of one line of a file: the first, or the one with the id."""
    if pairs is None or not pairs.is_file():
        raise UserError("no pair to explain", pairs, "give --gold and --prediction, or --pairs and --id")
    for row in read_jsonl(pairs):
        if line_id is None or str(row.get("id")) == line_id:
            if "prediction" not in row or not isinstance(gold := row.get("gold"), str | int | float | list):
                raise UserError("the line has no pair", pairs, 'a line is {"id", "gold", "prediction"}')
            return gold, row["prediction"]
    raise UserError(f"no line with the id {line_id!r}", pairs)


def explain_pair(golds: Any, prediction: Any, mode: Any, pool: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from deepscaler.reward.explain import views
    from deepscaler.reward.grade import golds_of

    console = Console()
    for gold in golds_of(golds):
        table = Table("layer", "gold", "prediction", title=f"mode {mode}")
        ours, theirs = views(gold, mode), views(str(prediction), mode)
        for row in range(max(len(ours), len(theirs))):
            (layer, one), (other_layer, other) = (side[row] if row < len(side) else ("", "") for side in (ours, theirs))
            table.add_row(layer or other_layer, cell(one), cell(other))
        console.print(table)
    with pool:
        [verdict] = pool.grade_pairs([(golds, str(prediction), mode)])
    console.print(printable(f"{'correct' if verdict.correct else 'wrong'}: {verdict.reason}"), markup=False)


def cell(text: str) -> Any:
    from rich.text import Text

    return Text(printable(text if len(text) <= 400 else text[:400] + "…"))
