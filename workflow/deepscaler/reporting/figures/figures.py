"""Figures 1 to 5 of the paper, from a scale's results. The notebooks of workflow/notebooks call `draw`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deepscaler import dag
from deepscaler.errors import UserError
from deepscaler.files import read_json
from deepscaler.reporting.claims.results import Estimate, Step, aime_of, read_training
from deepscaler.reporting.figures import style
from deepscaler.reporting.figures.annotations import aime_title, legend_below, reference_lines, stage_boundaries
from deepscaler.reporting.figures.size_figure import accuracy_by_size
from deepscaler.settings.claims import Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER_WINDOW, PAPER_STEPS = 100, 1750
"""The paper's moving average is over 100 of its 1,750 steps; a shorter run is smoothed over the same share of it."""
FEW_STEPS = 200
"""Up to so many, each step has a dot."""
MINIMUM_STEPS = 6
"""Of figure 3, where a third of the first stage is less."""
LENGTH_AND_REWARD: tuple[tuple[Series, str], ...] = (("response_length", style.BLUE), ("reward", style.ORANGE))
LABELS: dict[Series, str] = {
    "reward": "mean training reward",
    "response_length": "mean response length (tokens)",
    "truncated": "responses cut off at the context limit (%)",
}


def draw(number: int, scale: str, data: Sequence[str | Path]) -> "Figure":
    """A figure of the paper.

    Args:
        number: 1 to 5.
        scale: whose results the data are.
        data: for 1 the scores files of the curve; for 2 to 4 training.csv; for 5 table.csv.
    """
    if number not in FIGURES:
        raise UserError(f"there is no figure {number}", hint="figures are 1 to 5")
    paths = [Path(path) for path in data]
    if missing := [path for path in paths if not path.is_file()]:
        raise UserError("no such file", missing[0])
    with style.styled():
        return FIGURES[number](scale, paths)


def accuracy_by_step(scale: str, scores: list[Path]) -> "Figure":
    """Figure 1: Pass@1 on AIME 2024 along training, with 95 % bands and the switches to longer contexts."""
    steps = {(point.system, point.suite): point.total_step for point in dag.curve(scale)}
    points: list[tuple[int, Estimate]] = []
    for path in scores:
        score = read_json(path)
        points.append((steps[score["system"], score["suite"]], aime_of(score)))
    points.sort(key=lambda point: point[0])
    x, y = [step for step, _ in points], [estimate.value for _, estimate in points]
    error = [style.half_width(estimate.standard_error) for _, estimate in points]
    figure, (axes,) = style.panels(1)
    low = [value - min(half, value) for value, half in zip(y, error, strict=True)]
    high = [value + min(half, 100.0 - value) for value, half in zip(y, error, strict=True)]
    axes.fill_between(x, low, high, color=style.BLUE, alpha=0.18, linewidth=0, label="95 % interval, sampling alone")
    axes.plot(x, y, color=style.BLUE, marker="o", markersize=4, clip_on=False, label="measured")
    reference_lines(axes, scale, 1)
    stage_boundaries(axes, scale)
    axes.set(xlabel="training step", ylabel=f"{aime_title(scale)}, Pass@1 (%)", xlim=(0, None))
    legend_below(figure, axes)
    return figure


def length_and_reward(scale: str, data: list[Path]) -> "Figure":
    """Figure 2: mean response length and training reward along training."""
    steps = read_training(data[0])
    figure, axes = style.panels(2)
    for panel, (series, colour) in zip(axes, LENGTH_AND_REWARD, strict=True):
        draw_series(panel, scale, steps, series, colour, figure_number=2)
        stage_boundaries(panel, scale)
        panel.set_xlim(left=0)
    legend_below(figure, *axes)
    return figure


def late_first_stage(scale: str, data: list[Path]) -> "Figure":
    """Figure 3: the same over the last third of the first stage, where the paper saw length rise and reward fall."""
    stage = dag.segments(scale)[0].stage
    steps = [step for step in read_training(data[0]) if step.stage == stage]
    late = steps[-max(MINIMUM_STEPS, len(steps) // 3) :]
    figure, axes = style.panels(2)
    for panel, (series, colour) in zip(axes, LENGTH_AND_REWARD, strict=True):
        draw_series(panel, scale, steps, series, colour, figure_number=3, only=late)
        panel.margins(x=0.03)
    legend_below(figure, *axes)
    return figure


def clipped_share(scale: str, data: list[Path]) -> "Figure":
    """Figure 4: the share of responses that the context limit cut off."""
    figure, (axes,) = style.panels(1)
    draw_series(axes, scale, read_training(data[0]), "truncated", style.GREEN, figure_number=4)
    stage_boundaries(axes, scale)
    axes.set(xlim=(0, None), ylim=(0, None))
    legend_below(figure, axes)
    return figure


FIGURES: dict[int, Callable[[str, list[Path]], "Figure"]] = {
    1: accuracy_by_step,
    2: length_and_reward,
    3: late_first_stage,
    4: clipped_share,
    5: accuracy_by_size,
}


def draw_series(
    axes: "Axes",
    scale: str,
    steps: list[Step],
    series: Series,
    colour: str,
    *,
    figure_number: int,
    only: list[Step] | None = None,
) -> None:
    """A series by step: each step faint, its moving average strong, restarted with every stage."""
    factor = 100.0 if series == "truncated" else 1.0
    window = moving_window(len(all_steps(scale)))
    shown = {step.total_step for step in only or steps}
    for number, stage in enumerate(dict.fromkeys(step.stage for step in steps)):
        pairs = [(s.total_step, v * factor) for s in steps if s.stage == stage and (v := s.value(series)) is not None]
        smooth = moving_average([value for _, value in pairs], window)
        kept = [(x, y, mean) for (x, y), mean in zip(pairs, smooth, strict=True) if x in shown]
        if not kept:
            continue
        x, y, mean = zip(*kept, strict=True)
        label = None if number else f"moving average of {window} steps"
        dot = "." if len(steps) <= FEW_STEPS else None
        axes.plot(
            x, y, color=style.FAINT, linewidth=0.8, marker=dot, markersize=3, label=None if number else "each step"
        )
        axes.plot(x, mean, color=colour, label=label)
    reference_lines(axes, scale, figure_number, series)
    axes.set(xlabel="training step", title=LABELS[series])
    axes.locator_params(axis="x", integer=True)


def moving_window(steps: int) -> int:
    return max(3, round(steps * PAPER_WINDOW / PAPER_STEPS))


def moving_average(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and up to `window` − 1 before it."""
    means, total = [], 0.0
    for index, value in enumerate(values):
        total += value - (values[index - window] if index >= window else 0.0)
        means.append(total / min(index + 1, window))
    return means


def all_steps(scale: str) -> range:
    return range(dag.segments(scale)[-1].total_last)
