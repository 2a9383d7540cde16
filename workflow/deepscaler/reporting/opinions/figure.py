"""The figure: each cell of the table as a range, from the lowest opinion to the highest."""

from typing import TYPE_CHECKING

from deepscaler import settings
from deepscaler.reporting.figures import style
from deepscaler.reporting.opinions.harnesses import TITLES
from deepscaler.reporting.opinions.table import OTHER_FORM, Opinions
from deepscaler.reward.verdicts import MODES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = {
    "paper": ("o", style.BLUE),
    "strict": ("D", style.ORANGE),
    "math-verify": ("^", style.GREEN),
    "lm-eval": ("v", style.PURPLE),
    "lm-eval-exact-match": ("x", style.GREY),
    "lighteval": ("<", style.GREEN),
    "inspect-ai": (">", style.PURPLE),
    "verl": ("s", style.INK),
    "openrlhf": ("P", style.INK),
}
ROW_INCHES, FRAME_INCHES = 0.42, 1.7
"""Of the height: what a cell takes, and what the axis and the legend do."""
SPREAD = 0.075
"""Rows between two opinions of a cell, so that equal ones show."""


def ranges(opinions: Opinions) -> "Figure":
    """A row a cell: a bar from the lowest to the highest opinion that reads a box, and a mark for each opinion."""
    cells = list(opinions.by_cell())
    with style.styled():
        figure, (axes,) = style.panels(1, height=FRAME_INCHES + ROW_INCHES * len(cells))
        for place, (_, completions) in enumerate(cells):
            draw_cell(axes, place, opinions, completions)
        axes.set_yticks(range(len(cells)), [cell_title(*key) for key, _ in cells], fontsize=8)
        axes.set_ylim(len(cells) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set(xlabel="Pass@1 (%) of the same completions, by who grades them")
        legend(figure, opinions)
    return figure


def draw_cell(axes: "Axes", place: int, opinions: Opinions, completions: list[int]) -> None:
    low, high = opinions.range(completions)
    axes.plot([low, high], [place, place], color=style.FAINT, linewidth=9, solid_capstyle="butt", zorder=1)
    axes.annotate(f"{high - low:.1f}", (high, place), xytext=(9, 0), textcoords="offset points", va="center",
                  fontsize=7.5, color=style.GREY)  # fmt: skip
    names = opinions.names
    for rank, name in enumerate(names):
        marker, colour = MARKERS[name]
        height = place + SPREAD * (rank - (len(names) - 1) / 2)
        ours = name in MODES
        axes.plot(opinions.pass_at_1(name, completions), height, marker=marker, color=colour, linestyle="none",
                  markersize=5.5 if ours else 4, markerfacecolor=colour if ours else "white", zorder=3)  # fmt: skip


def cell_title(system: str, benchmark: str) -> str:
    known = settings.systems()
    return f"{known[system].title if system in known else system}\n{settings.benchmarks()[benchmark].title}"


def legend(figure: "Figure", opinions: Opinions) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = []
    for name in opinions.names:
        marker, colour = MARKERS[name]
        title = f"{TITLES[name]} (no box: in no range)" if name in OTHER_FORM else TITLES[name]
        handles.append(Line2D([], [], marker=marker, color=colour, linestyle="none", markersize=5,
                              markerfacecolor=colour if name in MODES else "white", label=title))  # fmt: skip
    handles.append(Patch(color=style.FAINT, label="range, in points"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5)
