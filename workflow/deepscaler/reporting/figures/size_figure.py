"""Figure 5: accuracy against model size."""

from math import exp, log
from pathlib import Path
from typing import TYPE_CHECKING

from deepscaler import dag, settings
from deepscaler.reporting.claims.results import Estimate, Results
from deepscaler.reporting.figures import style
from deepscaler.reporting.figures.annotations import aime_title, claims_at
from deepscaler.settings.claims import TableCell
from deepscaler.settings.models import Reported

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT_MARGIN, NAMES_MARGIN, LINE_HEIGHT = 0.06, 0.32, 0.045
"""Shares of the axes: left of the points, right of them for their names; of the height, what a line of text takes."""


def accuracy_by_size(scale: str, data: list[Path]) -> "Figure":
    """Figure 5: Pass@1 on AIME 2024 against the number of parameters, for all systems of the table."""
    results = Results(scale, data[0].parent)
    cells = {name: results.cell(name, "aime_2024") for name in settings.load_scale(scale).evaluation.systems}
    found = {name: estimate for name, estimate in cells.items() if estimate}
    figure, (axes,) = style.panels(1, height=4.2)
    if len({parameters(scale, name) for name in found}) == 1:
        by_system(axes, scale, found)
        size_legend(figure, scale, crosses=False)
        return figure
    positions = side_by_side({name: size for name in found if (size := parameters(scale, name)) is not None})
    for name, estimate in found.items():
        entry = settings.systems()[name]
        if name not in positions:
            axes.axhline(estimate.value, color=style.GREY, linestyle=(0, (5, 2)), linewidth=1.2)
            axes.annotate(f"{entry.title} (size unknown)", (0.42, estimate.value), xycoords=("axes fraction", "data"),
                          va="bottom", fontsize=8, color=style.GREY)  # fmt: skip
            continue
        reported = isinstance(entry, Reported)
        half = style.half_width(estimate.standard_error)
        marker, inside = ("s", "white") if reported else ("o", style.BLUE)
        axes.errorbar(positions[name], estimate.value, yerr=half, fmt=marker, markerfacecolor=inside,
                      color=style.BLUE, capsize=2, markersize=5, elinewidth=1.1)  # fmt: skip
    crosses = paper_markers(axes, scale, positions)
    name_points(axes, scale, positions, found)
    axes.set(xscale="log", xlabel="parameters (log scale)", ylabel=f"{aime_title(scale)}, Pass@1 (%)")
    sizes = sorted({size for name in positions if (size := parameters(scale, name)) is not None})
    axes.set_xticks(sizes, [size_text(size) for size in sizes])
    axes.set_xticks([], minor=True)
    size_legend(figure, scale, crosses)
    return figure


def by_system(axes: "Axes", scale: str, found: dict[str, Estimate]) -> None:
    """Where all systems have one size, as in the miniature, there is no axis of sizes: a place for each system."""
    for place, estimate in enumerate(found.values()):
        axes.errorbar(place, estimate.value, yerr=style.half_width(estimate.standard_error), fmt="o", color=style.BLUE,
                      capsize=2, markersize=5, elinewidth=1.1)  # fmt: skip
    axes.set_xticks(range(len(found)), [settings.systems()[name].title for name in found])
    axes.margins(x=0.15)
    size = parameters(scale, next(iter(found)))
    axes.set(xlabel="all of one size" + (f", {size_text(size)} parameters" if size else ""),
             ylabel=f"{aime_title(scale)}, Pass@1 (%)")  # fmt: skip


def side_by_side(sizes: dict[str, float]) -> dict[str, float]:
    """Position of each system on the axis: systems of one size next to each other, so that error bars show."""
    positions = {}
    for size in set(sizes.values()):
        names = [name for name in sizes if sizes[name] == size]
        for rank, name in enumerate(names):
            positions[name] = size * style.NEIGHBOUR_FACTOR ** (rank - (len(names) - 1) / 2)
    return positions


def paper_markers(axes: "Axes", scale: str, positions: dict[str, float]) -> bool:
    """The paper's own values as crosses; returns whether it has any."""
    drawn = False
    for claim in claims_at(scale):
        cell = claim.measure
        if not isinstance(cell, TableCell) or cell.column != "aime_2024" or cell.system not in positions:
            continue
        if cell.against or cell.limit or cell.minus or cell.over:
            continue
        axes.plot(positions[cell.system], claim.expected, marker="x", color=style.ORANGE, markersize=6,
                  markeredgewidth=1.6, linestyle="none", zorder=3)  # fmt: skip
        drawn = True
    return drawn


def name_points(axes: "Axes", scale: str, positions: dict[str, float], found: dict[str, Estimate]) -> None:
    """Names to the right of the points, moved apart where they would overlap, and room for them on the axis."""
    if not positions:
        return
    left, right = log(min(positions.values())), log(max(positions.values()))
    width = max((right - left) / (1 - LEFT_MARGIN - NAMES_MARGIN), 0.2)  # where all have one size, they stand together
    bottom, top = axes.get_ylim()
    sizes = {name: parameters(scale, name) for name in positions}
    for size in set(sizes.values()):
        column = [name for name in positions if sizes[name] == size]
        beside = max(positions[name] for name in column) * exp(0.03 * width)
        heights = style.spread([found[name].value for name in column], (top - bottom) * LINE_HEIGHT)
        for name, height in zip(column, heights, strict=True):
            arrow = {"arrowstyle": "-", "color": style.FAINT, "shrinkB": 4}
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8}
            axes.annotate(settings.systems()[name].title, (positions[name], found[name].value), xytext=(beside, height),
                          va="center", fontsize=8, arrowprops=arrow, bbox=box, zorder=4)  # fmt: skip
    start = left - LEFT_MARGIN * width
    axes.set_xlim(exp(start), exp(start + width))
    axes.set_ylim(max(0.0, bottom), top)


def size_legend(figure: "Figure", scale: str, crosses: bool) -> None:
    """Under the axes, as in the other figures: there it covers nothing."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [], [], marker="o", color=style.BLUE, linestyle="none", label="measured here, 95 % interval over problems"
        )
    ]
    kinds = [settings.systems()[system] for system in settings.load_scale(scale).evaluation.systems]
    if any(isinstance(entry, Reported) for entry in kinds):
        handles.append(Line2D([], [], marker="s", color=style.BLUE, markerfacecolor="white", linestyle="none",
                            label="as reported by others"))  # fmt: skip
    if crosses:
        handles.append(Line2D([], [], marker="x", color=style.ORANGE, linestyle="none", label="the paper's value"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def size_text(billions: float) -> str:
    """Parameters as people write them: "1.5 B", "0.4 M"."""
    return f"{billions:g} B" if billions >= 0.1 else f"{billions * 1000:g} M"


def parameters(scale: str, system: str) -> float | None:
    """Billions of parameters; a checkpoint has its base model's."""
    name = settings.load_scale(scale).base if dag.checkpoint_of(scale, system) else system
    return getattr(settings.systems()[name or system], "parameters", None)
