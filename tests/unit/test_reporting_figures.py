"""Figures 1 to 5, their notebooks, and the verb that executes them."""

import csv
import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from deepscaler import settings
from deepscaler.errors import JobError, UserError
from deepscaler.reporting.figures import figures, style
from deepscaler.reporting.figures.draw_figure import draw_figure
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.lines import Line2D
from synthetic_run import data_of

NUMBERS = sorted(figures.FIGURES)


@pytest.mark.parametrize("number", [1, 5])
def test_the_same_data_give_the_same_bytes(run: Path, tmp_path: Path, number: int) -> None:
    written = []
    for attempt in ("a", "b"):
        png, pdf = tmp_path / f"{attempt}.png", tmp_path / f"{attempt}.pdf"
        style.save(figures.draw(number, "mini", data_of(run / "results/mini", number)), png, pdf)
        written.append((png.read_bytes(), pdf.read_bytes()))
    assert written[0] == written[1]
    assert written[0][0].startswith(b"\x89PNG")
    assert written[0][1].startswith(b"%PDF")


def test_figure_1_shows_every_point_with_its_band_and_the_stage_boundaries(run: Path) -> None:
    figure = figures.draw(1, "mini", data_of(run / "results/mini", 1)[::-1])
    (axes,) = figure.axes
    curve = next(line for line in axes.lines if line.get_label() == "measured")
    assert list(curve.get_xdata()) == [0, 6, 12, 24, 36]
    assert curve.get_ydata()[0] == pytest.approx(19.375)
    switches = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert switches == [12, 24]
    assert axes.collections, "the band"


def test_an_error_that_is_not_known_is_drawn_as_none_and_not_as_zero(run: Path) -> None:
    (path,) = (run / "results/mini/scores").glob("8k-1-curve.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    for entry in content["benchmarks"].values():
        entry["standard_error_within"] = None
    path.write_text(json.dumps(content), encoding="utf-8")
    (axes,) = figures.draw(1, "mini", data_of(run / "results/mini", 1)).axes
    curve = next(line for line in axes.lines if line.get_label() == "measured")
    band = axes.collections[0].get_paths()
    drawn = {float(x) for path in band for x, _ in path.vertices}
    assert 6 in curve.get_xdata()
    assert 6 not in drawn
    assert {12, 24, 36} <= drawn


def test_figures_2_to_4_smooth_within_stages_only(run: Path) -> None:
    figure = figures.draw(2, "mini", data_of(run / "results/mini", 2))
    length, reward = figure.axes
    smooth = [line for line in reward.lines if line.get_color() == style.ORANGE]
    assert [line.get_xdata()[0] for line in smooth] == [1, 13, 25]
    assert smooth[1].get_ydata()[0] == pytest.approx(0.43), "the first step of a stage stands for itself"
    assert "length" in length.get_title("left")
    (clipped,) = figures.draw(4, "mini", data_of(run / "results/mini", 4)).axes
    raw = next(line for line in clipped.lines if line.get_label() == "each step")
    assert raw.get_ydata()[0] == pytest.approx(19.5), "in percent"


def test_figure_3_is_the_end_of_the_first_stage(run: Path) -> None:
    figure = figures.draw(3, "mini", data_of(run / "results/mini", 3))
    assert len(figure.axes) == 2, "length and reward"
    for axes in figure.axes:
        steps = sorted({step for line in axes.lines for step in line.get_xdata()})
        assert steps == [7, 8, 9, 10, 11, 12]


def test_the_papers_values_are_drawn_where_they_compare(tmp_path: Path) -> None:
    """At the paper's scale, and not at mini's."""
    systems = settings.load_scale("paper").evaluation.systems
    with (tmp_path / "table.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["model", "system", "aime_2024", "aime_2024_standard_error"])
        writer.writerows([settings.systems()[name].title, name, 30 + n, 2] for n, name in enumerate(systems))
    (axes,) = figures.draw(5, "paper", [tmp_path / "table.csv"]).axes
    crosses = [float(line.get_ydata()[0]) for line in axes.lines if line.get_marker() == "x"]
    assert {43.1, 28.8, 32.5, 13.3, 26.7} <= set(crosses)
    names = {text.get_text() for text in axes.texts}
    assert {"DeepScaleR-1.5B-Preview", "rStar-Math-7B"} <= names
    assert any("O1-Preview" in name for name in names), "which has no size, so it is a line"

    header = "total_step,stage,step,reward,response_length,truncated\n"
    rows = [f"{n},8k,{n},0.5,4000,0.05\n" for n in range(1, 1041)] + [
        f"{1040 + n},16k,{n},0.6,4000,0.01\n" for n in (1, 2)
    ]
    (tmp_path / "training.csv").write_text(header + "".join(rows), encoding="utf-8")
    length, reward = figures.draw(2, "paper", [tmp_path / "training.csv"]).axes
    assert {3500, 5500} <= {line.get_ydata()[0] for line in length.lines if len(line.get_ydata()) == 2}
    assert {0.46, 0.58, 0.625} <= {line.get_ydata()[0] for line in reward.lines if len(line.get_ydata()) == 2}
    assert any("100 steps" in str(line.get_label()) for line in length.lines)


def test_a_figure_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no figure 6"):
        figures.draw(6, "mini", [])
    with pytest.raises(UserError, match="no such file"):
        figures.draw(2, "mini", [tmp_path / "training.csv"])


@given(st.lists(st.floats(-1e6, 1e6), max_size=40), st.integers(1, 10))
def test_moving_average(values: list[float], window: int) -> None:
    means = figures.moving_average(values, window)
    assert len(means) == len(values)
    for index, mean in enumerate(means):
        part = values[max(0, index - window + 1) : index + 1]
        assert mean == pytest.approx(sum(part) / len(part), abs=1e-3)


@given(st.lists(st.floats(0, 100), max_size=15), st.floats(0.1, 5))
def test_labels_keep_apart_and_in_order(values: list[float], gap: float) -> None:
    placed = style.spread(values, gap)
    order = sorted(range(len(values)), key=values.__getitem__)
    for before, after in pairwise(order):
        assert placed[after] - placed[before] >= gap - 1e-6


@pytest.mark.parametrize("number", NUMBERS)
def test_notebooks_are_parameters_and_calls(root: Path, number: int) -> None:
    notebook = nbformat.read(root / f"workflow/notebooks/figure-{number}.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.metadata.get("tags") for cell in code].count(["parameters"]) == 1
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert sum(len(cell.source.splitlines()) for cell in code) <= 15
    assert f"figures.draw({number}, scale, data)" in code[-1].source


def test_the_notebook_is_executed_and_kept(run: Path) -> None:
    results = run / "results/mini"
    png, pdf, executed = (results / name for name in ("f.png", "f.pdf", "executed/f.ipynb"))
    notebook = run / "workflow/notebooks/figure-4.ipynb"
    made = []
    for _ in range(2):
        draw_figure(scale="mini", notebook=notebook, data=data_of(results, 4), png=png, pdf=pdf, executed=executed)
        made.append([path.read_bytes() for path in (png, pdf, executed)])
    assert made[0] == made[1]  # equal data: the same bytes, whenever they were drawn
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")
    kept = nbformat.read(executed, as_version=4)
    nbformat.validate(kept)
    assert any(cell.get("outputs") for cell in kept.cells)
    assert [path.name for path in executed.parent.iterdir()] == ["f.ipynb"]


def test_figures_that_are_drawn_at_once_do_not_meet(run: Path) -> None:
    """Jupyter's own names for a kernel's sockets are the same in all jobs, and lie where all of them start."""
    command = str(Path(sys.executable).with_name("deepscaler"))
    drawing = []
    for number in (2, 4):
        made = {name: str(run / f"{number}.{name}") for name in ("png", "pdf", "executed")}
        flags = [word for name, path in made.items() for word in (f"--{name}", path)]
        data = [word for path in data_of(run / "results/mini", number) for word in ("--data", str(path))]
        notebook = ["--notebook", str(run / f"workflow/notebooks/figure-{number}.ipynb")]
        arguments = [command, "draw_figure", "--scale", "mini", *notebook, *data, *flags]
        drawing.append(subprocess.Popen(arguments, cwd=run, stderr=subprocess.PIPE, text=True))
    met: set[str] = set()
    while any(process.poll() is None for process in drawing):
        met |= {path.name for path in run.glob("kernel*")}
        time.sleep(0.02)
    assert [process.returncode for process in drawing] == [0, 0], [process.communicate()[1] for process in drawing]
    assert met == set()


def test_a_failing_cell_is_one_line_and_its_notebook_is_kept_aside(run: Path) -> None:
    results = run / "results/mini"
    png, pdf, executed = (results / name for name in ("f.png", "f.pdf", "executed/f.ipynb"))
    missing = [results / "nothing.csv"]
    with pytest.raises(JobError, match=r"UserError: no such file .*failed\.ipynb"):
        draw_figure(
            scale="mini",
            notebook=run / "workflow/notebooks/figure-4.ipynb",
            data=missing,
            png=png,
            pdf=pdf,
            executed=executed,
        )
    assert [path.name for path in executed.parent.iterdir()] == ["f.failed.ipynb"]
    assert not png.exists()


def test_legends_stand_below_and_say_which_interval(run: Path) -> None:
    figure = figures.draw(5, "mini", data_of(run / "results/mini", 5))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["measured here, 95 % interval over problems"]
    assert figure.axes[0].get_legend() is None


def test_a_legend_of_several_panels_shows_every_colour(run: Path) -> None:
    figure = figures.draw(2, "mini", data_of(run / "results/mini", 2))
    (legend,) = figure.legends
    drawn = {line.get_color() for axes in figure.axes for line in axes.get_lines() if line.get_label() != "each step"}
    assert {style.BLUE, style.ORANGE} <= drawn
    assert {style.BLUE, style.ORANGE} <= {line.get_color() for line in legend.findobj(Line2D)}


def test_systems_of_one_size_have_a_place_each_and_no_axis_of_sizes(run: Path) -> None:
    axes = figures.draw(5, "mini", data_of(run / "results/mini", 5)).axes[0]
    assert axes.get_xscale() == "linear"
    assert axes.get_xticklabels()[0].get_text() == "mini base"
    assert "all of one size" in axes.get_xlabel()
