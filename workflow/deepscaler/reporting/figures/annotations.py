"""Annotations that several figures share: stage boundaries, the paper's values, the legend."""

from typing import TYPE_CHECKING, Any

from deepscaler import dag, settings
from deepscaler.reporting.figures import style
from deepscaler.settings.claims import Claim, Series, TableCell, claims, holds_at

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def stage_boundaries(axes: "Axes", scale: str) -> None:
    """A dotted line where training continues with a longer context, and at each stage's start its name."""
    for segment in dag.segments(scale):
        if segment.starts_stage:
            start = segment.total_last - (segment.last - segment.first)
            if segment.parent:
                axes.axvline(start, color=style.INK, linestyle=":", linewidth=1.1)
            axes.annotate(segment.stage.upper(), (start, 1.0), xycoords=("data", "axes fraction"), xytext=(2, 1),
                          textcoords="offset points", va="bottom", fontsize=8, color=style.INK)  # fmt: skip
    axes.set_title(axes.get_title("left"), pad=16)


def reference_lines(axes: "Axes", scale: str, figure: int, series: Series | None = None) -> None:
    """The paper's values, dashed over their stage, at scales whose results they can be compared with."""
    for claim in claims_at(scale):
        if not claim.figure or (claim.figure.number, claim.figure.series) != (figure, series):
            continue
        found = stage_range(scale, claim)
        if found is None:  # another recipe, without that stage
            continue
        start, end = found
        axes.plot([start, end], [claim.expected] * 2, color=style.INK, linestyle=(0, (4, 2)), linewidth=1.1, zorder=3)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
        axes.annotate(f"paper {claim.expected:,g}", ((start + end) / 2, claim.expected), xytext=(0, 3), ha="center",
                      textcoords="offset points", fontsize=7, color=style.INK, bbox=box, zorder=4)  # fmt: skip


def stage_range(scale: str, claim: Claim) -> tuple[int, int] | None:
    """First and last total step of a claim's stage; of all training where it has no stage.

    None where the scale's recipe does not have the stage.
    """
    chain = dag.segments(scale)
    stage = getattr(claim.measure, "stage", None)
    if isinstance(claim.measure, TableCell):
        stage = getattr(settings.systems()[claim.measure.system], "stage", None)
    ends = [segment.total_last for segment in chain if stage in (None, segment.stage)]
    starts = [segment.total_last - segment.last + segment.first for segment in chain if stage in (None, segment.stage)]
    return (min(starts), max(ends)) if starts else None


def claims_at(scale: str) -> list[Claim]:
    return [claim for claim in claims().claims if holds_at(claim, scale)]


def legend_below(figure: "Figure", *panels: "Axes") -> None:
    """One legend for all panels, under them, where it covers nothing; what differs by panel is shown in its colours."""
    from matplotlib.legend_handler import HandlerTuple

    named: dict[str, list[Artist]] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, []).append(handle)
    alike = {label: len({colour_of(handle) for handle in handles}) == 1 for label, handles in named.items()}
    shown: list[Any] = [handles[0] if alike[label] else tuple(handles) for label, handles in named.items()]
    figure.legend(shown, list(named), loc="outside lower center", ncols=len(named),
                  handler_map={tuple: HandlerTuple(ndivide=None)})  # fmt: skip


def colour_of(handle: "Artist") -> str:
    """Of a line; other marks of one name are taken as alike."""
    return str(handle.get_color()) if hasattr(handle, "get_color") else ""


def aime_title(scale: str) -> str:
    """The title of the benchmark in the column `aime_2024` at a scale."""
    names = settings.load_scale(scale).evaluation.suites["table"]
    return next(settings.benchmarks()[n].title for n in names if settings.benchmarks()[n].column == "aime_2024")
