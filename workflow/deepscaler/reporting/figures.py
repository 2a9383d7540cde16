"""Figures 1 to 5 of the paper, from a scale's results. The notebooks of workflow/notebooks call `draw`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.files import read_json
from deepscaler.reporting import style
from deepscaler.reporting.results import Estimate, Results, Step, aime_of, read_training
from deepscaler.settings import dag
from deepscaler.settings.claims import Claim, Series, TableCell, claims
from deepscaler.settings.models import Reported

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER_WINDOW, PAPER_STEPS = 100, 1750
"""The paper's moving average is over 100 of its 1,750 steps; a shorter run is smoothed over the same share of it."""
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
    error = [style.BAND * (estimate.standard_error or 0.0) for _, estimate in points]
    figure, (axes,) = style.panels(1)
    low = [max(0.0, value - half) for value, half in zip(y, error, strict=True)]
    high = [min(100.0, value + half) for value, half in zip(y, error, strict=True)]
    axes.fill_between(x, low, high, color=style.BLUE, alpha=0.18, linewidth=0, label="95 % of sampling error")
    axes.plot(x, y, color=style.BLUE, marker="o", markersize=4, label="measured")
    reference_lines(axes, scale, 1)
    switches(axes, scale)
    axes.set(xlabel="training step", ylabel=f"{aime_title(scale)}, Pass@1 (%)", xlim=(0, None))
    legend_below(figure, axes)
    return figure


def length_and_reward(scale: str, data: list[Path]) -> "Figure":
    """Figure 2: mean response length and training reward along training."""
    steps = read_training(data[0])
    figure, axes = style.panels(2)
    for panel, (series, colour) in zip(axes, LENGTH_AND_REWARD, strict=True):
        draw_series(panel, scale, steps, series, colour, figure_number=2)
        switches(panel, scale)
    legend_below(figure, axes[0])
    return figure


def late_first_stage(scale: str, data: list[Path]) -> "Figure":
    """Figure 3: the same over the last third of the first stage, where the paper saw length rise and reward fall."""
    stage = dag.segments(scale)[0].stage
    steps = [step for step in read_training(data[0]) if step.stage == stage]
    late = steps[-max(MINIMUM_STEPS, len(steps) // 3) :]
    figure, axes = style.panels(2)
    for panel, (series, colour) in zip(axes, LENGTH_AND_REWARD, strict=True):
        draw_series(panel, scale, steps, series, colour, figure_number=3, only=late)
        panel.set_xlim(late[0].total_step, late[-1].total_step)
    legend_below(figure, axes[0])
    return figure


def clipped_share(scale: str, data: list[Path]) -> "Figure":
    """Figure 4: the share of responses that the context limit cut off."""
    figure, (axes,) = style.panels(1)
    draw_series(axes, scale, read_training(data[0]), "truncated", style.GREEN, figure_number=4)
    switches(axes, scale)
    axes.set_ylim(bottom=0)
    legend_below(figure, axes)
    return figure


def accuracy_by_size(scale: str, data: list[Path]) -> "Figure":
    """Figure 5: Pass@1 on AIME 2024 against the number of parameters, for all systems of the table."""
    results = Results(scale, data[0].parent)
    figure, (axes,) = style.panels(1, height=4.2)
    labels: list[tuple[float, float, str]] = []
    for system in settings.scale(scale).evaluation.systems:
        estimate, size = results.cell(system, "aime_2024"), parameters(scale, system)
        if estimate is None:
            continue
        entry = settings.systems()[system]
        if size is None:
            axes.axhline(estimate.value, color=style.GREY, linestyle=(0, (5, 2)), linewidth=1.2)
            axes.annotate(f"{entry.title} (size unknown)", (0.99, estimate.value), xycoords=("axes fraction", "data"),
                          ha="right", va="bottom", color=style.GREY)  # fmt: skip
            continue
        reported = isinstance(entry, Reported)
        half = style.BAND * (estimate.standard_error or 0.0)
        axes.errorbar(size, estimate.value, yerr=half or None, fmt="s" if reported else "o", color=style.BLUE,
                      markerfacecolor="white" if reported else style.BLUE, capsize=2, markersize=6)  # fmt: skip
        labels.append((size, estimate.value, entry.title))
    crosses = paper_markers(axes, scale)
    name_points(axes, labels)
    axes.set(xscale="log", xlabel="parameters (log scale)", ylabel=f"{aime_title(scale)}, Pass@1 (%)")
    sizes = sorted({size for size, _, _ in labels})
    axes.set_xticks(sizes, [size_text(size) for size in sizes])
    axes.set_xticks([], minor=True)
    size_legend(axes, scale, crosses)
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
    """A series by step: each step faint, its moving average strong, begun anew with every stage."""
    factor = 100.0 if series == "truncated" else 1.0
    window = moving_window(len(dag_steps(scale)))
    shown = {step.total_step for step in only or steps}
    for number, stage in enumerate(dict.fromkeys(step.stage for step in steps)):
        pairs = [(s.total_step, v * factor) for s in steps if s.stage == stage and (v := s.value(series)) is not None]
        smooth = moving_average([value for _, value in pairs], window)
        kept = [(x, y, mean) for (x, y), mean in zip(pairs, smooth, strict=True) if x in shown]
        if not kept:
            continue
        x, y, mean = zip(*kept, strict=True)
        label = None if number else f"moving average of {window} steps"
        axes.plot(
            x, y, color=style.FAINT, linewidth=0.9, marker=".", markersize=3, label=None if number else "each step"
        )
        axes.plot(x, mean, color=colour, label=label)
    reference_lines(axes, scale, figure_number, series)
    axes.set(xlabel="training step", title=LABELS[series])
    axes.locator_params(axis="x", integer=True)


def legend_below(figure: "Figure", axes: "Axes") -> None:
    """One legend for all panels, under them, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))


def moving_window(steps: int) -> int:
    return max(3, round(steps * PAPER_WINDOW / PAPER_STEPS))


def moving_average(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and up to `window` − 1 before it."""
    means, total = [], 0.0
    for index, value in enumerate(values):
        total += value - (values[index - window] if index >= window else 0.0)
        means.append(total / min(index + 1, window))
    return means


def dag_steps(scale: str) -> range:
    return range(dag.segments(scale)[-1].total_last)


def switches(axes: "Axes", scale: str) -> None:
    """Where training went on with a longer context: a dotted line, and at each stage's start its name."""
    for segment in dag.segments(scale):
        if segment.starts_stage:
            start = segment.total_last - (segment.last - segment.first)
            if segment.parent:
                axes.axvline(start, color=style.INK, linestyle=":", linewidth=1.1)
            axes.annotate(segment.stage.upper(), (start, 1.0), xycoords=("data", "axes fraction"), xytext=(2, 1),
                          textcoords="offset points", va="bottom", fontsize=8, color=style.INK)  # fmt: skip
    axes.set_title(axes.get_title("left"), pad=16)


def reference_lines(axes: "Axes", scale: str, figure: int, series: Series | None = None) -> None:
    """The paper's values, dashed, where the scale is one that they can be held against."""
    for claim in comparable(scale):
        if claim.figure and (claim.figure.number, claim.figure.series) == (figure, series):
            axes.axhline(claim.expected, color=style.GREY, linestyle=(0, (5, 2)), linewidth=1.1)
            text = f"paper: {claim.expected:g}{claim.unit} ({claim.id})"
            axes.annotate(text, (0.01, claim.expected), xycoords=("axes fraction", "data"), xytext=(0, 2),
                          textcoords="offset points", fontsize=7, color=style.GREY)  # fmt: skip


def comparable(scale: str) -> list[Claim]:
    return [claim for claim in claims().claims if scale in claim.scales]


def paper_markers(axes: "Axes", scale: str) -> bool:
    """The paper's own value of each system that it has one for, as a cross; whether there is any."""
    drawn = False
    for claim in comparable(scale):
        cell = claim.measure
        if not isinstance(cell, TableCell) or cell.column != "aime_2024":
            continue
        size = parameters(scale, cell.system)
        if size is None or cell.against or cell.limit or cell.minus or cell.over:
            continue
        axes.plot(size, claim.expected, marker="x", color=style.ORANGE, markersize=7, linestyle="none", zorder=3)
        drawn = True
    return drawn


def parameters(scale: str, system: str) -> float | None:
    """Billions of parameters; a checkpoint has its base model's."""
    name = settings.scale(scale).base if dag.checkpoint_of(scale, system) else system
    return getattr(settings.systems()[name or system], "parameters", None)


def size_text(billions: float) -> str:
    """Parameters as people say them: "1.5 B", "0.4 M"."""
    return f"{billions:g} B" if billions >= 0.1 else f"{billions * 1000:g} M"


def name_points(axes: "Axes", labels: list[tuple[float, float, str]]) -> None:
    """Names beside the points, moved apart where they would overlap."""
    if not labels:
        return
    heights = [y for _, y, _ in labels]
    gap = max(max(heights) - min(heights), 1.0) * 0.075
    for size in sorted({x for x, _, _ in labels}):
        column = [(y, name) for x, y, name in labels if x == size]
        for (y, name), place in zip(column, style.spread([y for y, _ in column], gap), strict=True):
            arrow = {"arrowstyle": "-", "color": style.FAINT, "shrinkB": 4}
            axes.annotate(name, (size, y), xytext=(size * 1.12, place), va="center", fontsize=8, arrowprops=arrow)
    axes.set_xlim(min(x for x, _, _ in labels) * 0.75, max(x for x, _, _ in labels) * 2.6)


def size_legend(axes: "Axes", scale: str, crosses: bool) -> None:
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], marker="o", color=style.BLUE, linestyle="none", label="measured here (95 %)")]
    kinds = [settings.systems()[system] for system in settings.scale(scale).evaluation.systems]
    if any(isinstance(entry, Reported) for entry in kinds):
        marks.append(Line2D([], [], marker="s", color=style.BLUE, markerfacecolor="white", linestyle="none",
                            label="as reported by others"))  # fmt: skip
    if crosses:
        marks.append(Line2D([], [], marker="x", color=style.ORANGE, linestyle="none", label="the paper's value"))
    axes.legend(handles=marks, loc="best")


def aime_title(scale: str) -> str:
    """The title of what stands in the column of AIME 2024 at a scale."""
    names = settings.scale(scale).evaluation.suites["table"]
    return next(settings.benchmarks()[n].title for n in names if settings.benchmarks()[n].column == "aime_2024")
