"""How figures look: for print, for grey, and for the colour-blind. Colour never carries a meaning alone."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepscaler.files import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
"""Of Okabe and Ito's palette; they differ in lightness as well."""
INK, GREY, FAINT = "#1a1a1a", "#6b6b6b", "#c9c9c9"
WIDTH, HEIGHT = 6.6, 3.7
"""Inches: a text column in print."""
NEIGHBOUR_FACTOR = 1.025
"""Factor between neighbours of one size on a logarithmic axis."""
BAND = 1.96
"""Half width of an error band, in standard errors: 95 %."""

SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e9e9e9",
    "grid.linewidth": 0.7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # text stays text
}


def half_width(standard_error: float | None) -> float:
    """Half of an error band; nan, which draws none, where no error is known: one of width 0 would say that it is 0."""
    return math.nan if standard_error is None else BAND * standard_error


@contextmanager
def styled() -> Iterator[None]:
    """matplotlib's own defaults with ours over them, whatever a matplotlibrc of the user's says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def panels(count: int, height: float = HEIGHT) -> tuple["Figure", list["Axes"]]:
    """A figure of panels side by side, made without pyplot so that nothing global is touched."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def save(figure: "Figure", png: Path | str, pdf: Path | str) -> None:
    """Write both files, without dates, so that the same data give the same bytes."""
    with styled():
        with writing(png) as aside:
            figure.savefig(aside, format="png", metadata={"Software": None})
        with writing(pdf) as aside:
            figure.savefig(aside, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})


def spread(values: list[float], gap: float) -> list[float]:
    """Positions for labels: as near to `values` as they can be, at least `gap` apart, in the same order."""
    order = sorted(range(len(values)), key=values.__getitem__)
    groups: list[tuple[list[int], float]] = []
    for index in order:
        members, centre = [index], values[index]
        while groups:
            previous, middle = groups[-1]
            if centre - middle >= gap * (len(members) + len(previous)) / 2:
                break
            groups.pop()
            members = previous + members
            centre = sum(values[i] for i in members) / len(members)
        groups.append((members, centre))
    positions = [0.0] * len(values)
    for members, centre in groups:
        for rank, index in enumerate(members):
            positions[index] = centre + gap * (rank - (len(members) - 1) / 2)
    return positions
