"""What `deepscaler status` shows of a run: one screen, or with `--all` everything."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import TYPE_CHECKING

from deepscaler import settings
from deepscaler.evaluation.curve import benchmarks_of
from deepscaler.reporting.compute.outlook import QUIET
from deepscaler.reporting.compute.run_status import CheckpointStatus, Status, mean_of, silence
from deepscaler.text import amount, duration, printable
from deepscaler.training.watch import metrics
from deepscaler.training.watch.metrics import Row

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

CURVES = (
    ("reward", metrics.REWARD, "{:.3f}"),
    ("length", metrics.LENGTH, "{:,.0f}"),
    ("truncated", metrics.TRUNCATED, "{:.1%}"),
    ("KL", metrics.KL, "{:.2g}"),
    ("entropy", metrics.ENTROPY, "{:.3f}"),
    ("vllm_kl", metrics.VLLM_KL, "{:.2g}"),
    ("grad norm", metrics.GRAD_NORM, "{:.3f}"),
    ("s/step", metrics.SECONDS, "{:.1f}"),
)
OF_A_SCREEN = 5
"""Of these, what one screen has room for."""
NOTES = 2
"""Findings of one screen, the newest."""
BARS = "▁▂▃▄▅▆▇█"


def screen(found: Status, console: "Console", height: int | None) -> "RenderableType":
    """The status in at most `height` lines of the console's width; None: all of it."""
    from rich.console import Group
    from rich.text import Text

    width = console.width
    stage = found.rows[-1]["stage"] if found.rows else None
    of_stage = [row for row in found.rows if row["stage"] == stage]
    shown = len(CURVES) if height is None else OF_A_SCREEN
    top: list[RenderableType] = [Text(printable(headline(found)), style="bold"), stage_table(found)]
    top += [one_line(line) for line in ledger_lines(found)]
    if of_stage:
        top.append(curve_table(of_stage, printable(str(stage)), max(20, min(60, width - 40)), shown))
    notes = found.notes if height is None else found.notes[-NOTES:]
    bottom: list[RenderableType] = [one_line(printable(note), "yellow") for note in notes]
    bottom += [one_line(line, "dim") for line in what_next(found, whole=height is None)]
    room = None if height is None else height - lines_of(Group(*top, *bottom), console) - 1
    return Group(*top, *checkpoint_table(found, room), *bottom)


def lines_of(content: "RenderableType", console: "Console") -> int:
    return len(console.render_lines(content, pad=False))


def one_line(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def headline(found: Status) -> str:
    current = found.current
    if current is None:
        return f"{found.scale}: training has finished ({found.segments[-1].total_last:,} steps)"
    if not found.rows:
        return f"{found.scale}: training has not begun; {current.id} is the first of {len(found.segments)} segments"
    step = found.rows[-1]
    since = silence(step)
    line = f"{found.scale}: stage {step['stage']}, step {step['step']:,}, segment {step['segment']}"
    usual = next(stage.seconds for stage in found.stages if stage.name == step["stage"])
    if since is not None:
        line += f", last step {duration(since)} ago"
        if usual and since > max(QUIET * usual, 60):
            line += f" ({since / usual:.0f} times a step: waiting in a queue, starting, or stopped?)"
    return line


def stage_table(found: Status) -> "Table":
    table = columns("stage", "", *(f">{name}" for name in ("steps", "s/step", "left")))
    for stage in found.stages:
        seconds = f"{stage.seconds:,.1f}{'' if stage.measured else ' planned'}"
        left = "done" if stage.done >= stage.steps else duration(stage.left)
        table.add_row(stage.name, bar(stage.done / stage.steps), f"{stage.done:,}/{stage.steps:,}", seconds, left)
    return table


def ledger_lines(found: Status) -> list[str]:
    of = "" if math.isinf(found.approved) else f" of {amount(found.approved)} approved"
    lines = [
        f"GPU-hours: {amount(found.gpu_hours)} used{of} (planned in all, with evaluation: {amount(found.planned)})"
    ]
    if found.current is not None:
        ahead = found.outlook
        end = datetime.now(UTC) + timedelta(seconds=ahead.seconds)
        waits = "no queue seen yet"
        if ahead.wait is not None:
            waits = f"{ahead.waits_left} wait{'' if ahead.waits_left == 1 else 's'} of {duration(ahead.wait)}"
        lines.append(f"Left: {duration(ahead.seconds)} ({waits}), until {end:%a %Y-%m-%d %H:%M} UTC")
    return lines


def curve_table(rows: list[Row], stage: str, width: int, shown: int) -> "Table":
    table = columns("", f"stage {stage}, steps {rows[0]['step']:,} to {rows[-1]['step']:,}", ">first", ">last")
    for title, key, form in CURVES[:shown]:
        values = [float(row[key]) for row in rows if isinstance(row.get(key), int | float)]
        if values:
            table.add_row(title, sparkline(values, width), form.format(values[0]), form.format(values[-1]))
    return table


def checkpoint_table(found: Status, room: int | None) -> "list[Table]":
    """A row a checkpoint, the newest ones that there is room for; none where there is not even room for one."""
    if room is not None and room < 1:
        return []
    shown: Sequence[CheckpointStatus] = found.checkpoints if room is None else found.checkpoints[-room:]
    if not shown:
        return []
    test = settings.benchmarks()[benchmarks_of(found.scale)[0]].title
    table = columns("checkpoint", *(f">{name}" for name in ("step", test, "reward", "length", "truncated")))
    for one in shown:
        means = [mean_of(one.rows, key) for _, key, _ in CURVES[:3]]
        cells = [
            form.format(mean) if mean is not None else "" for mean, (_, _, form) in zip(means, CURVES, strict=False)
        ]
        table.add_row(one.name, f"{one.total_step:,}", score_cell(one, found.finished), *cells)
    return [table]


def score_cell(one: CheckpointStatus, finished: set[str]) -> str:
    """Percent, and the standard error of sampling, by which checkpoints are compared."""
    if one.score:
        error = one.score.standard_error_within
        return f"{one.score.score:.1f}" + (f" ± {error:.1f}" if error is not None else "")
    if not one.scored:
        return "–"
    return "not scored yet" if one.name in finished or not one.rows else "in training"


def what_next(found: Status, *, whole: bool) -> list[str]:
    """What to type for more; of another scale than mini with its name."""
    scale = f" --scale {found.scale}"
    more = "" if whole else f"deepscaler status{scale} --all: everything"
    if not found.rows:
        return []
    step = int(found.rows[-1]["total_step"])
    read = f"deepscaler rollouts{scale} --step {step}: its samples"
    return [text for text in (read, more) if text]


def columns(*names: str) -> "Table":
    """A table without lines; a name that begins with > is that of numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", no_wrap=True)
    return table


def sparkline(values: list[float], width: int) -> str:
    """Bars from the smallest to the largest value, each the mean of an equal share of the steps; `!` is not finite."""
    size = max(1, math.ceil(len(values) / width))
    groups = [values[start : start + size] for start in range(0, len(values), size)]
    means = [fmean(group) if all(map(math.isfinite, group)) else math.nan for group in groups]
    finite = [mean for mean in means if math.isfinite(mean)]
    if not finite:
        return "!" * len(means)
    low, span = min(finite), max(finite) - min(finite)
    top = len(BARS) - 1
    return "".join(
        "!" if math.isnan(mean) else BARS[round((mean - low) / span * top) if span else top // 2] for mean in means
    )


def bar(share: float, width: int = 20) -> str:
    filled = round(min(1.0, share) * width)
    return "━" * filled + "─" * (width - filled)
