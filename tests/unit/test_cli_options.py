"""Options that take several values."""

from pathlib import Path
from typing import Annotated

import pytest
import typer
from deepscaler.cli.options import ScaleName, Threads, repeat_names, verb, without_empty
from typer.testing import CliRunner


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer(add_completion=False)

    @verb(app)
    def join_files(
        scale: ScaleName,
        problems: Annotated[list[Path], typer.Option()],
        names: Annotated[list[str], typer.Option()],
        threads: Threads = 1,
        more: Annotated[list[str] | None, typer.Option()] = None,
    ) -> None:
        print(scale, [str(path) for path in problems], names, threads, more or "")

    @verb(app)
    def other() -> None:
        """Present so that the app has more than one verb."""

    return app


def test_values_up_to_the_next_option(app: typer.Typer) -> None:
    result = CliRunner().invoke(
        app, ["join_files", "--problems", "a", "b", "c", "--scale", "mini", "--names", "x", "--threads", "2"]
    )
    assert result.output == "mini ['a', 'b', 'c'] ['x'] 2 \n"


def test_a_stray_value_is_refused(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["join_files", "--problems", "a", "--names", "x", "--scale", "mini", "stray"])
    assert result.exit_code == 2


def test_an_option_without_value_is_refused(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["join_files", "--names", "x", "--scale", "mini", "--problems"])
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("more", "found"), [(["--more"], ""), (["--more", "--threads", "1"], ""), (["--more", "y", "z"], "['y', 'z']")]
)
def test_an_option_that_is_not_required_may_have_no_value(app: typer.Typer, more: list[str], found: str) -> None:
    result = CliRunner().invoke(app, ["join_files", "--problems", "a", "--names", "x", "--scale", "mini", *more])
    assert result.output == f"mini ['a'] ['x'] 1 {found}\n"


def test_what_follows_two_dashes_is_no_option() -> None:
    assert without_empty(["--x", "--y", "--", "--x"], {"--x"}) == ["--y", "--", "--x"]
    assert without_empty(["--x", "--", "1"], {"--x"}) == ["--", "1"]
    assert without_empty([], {"--x"}) == []
    assert without_empty(["--", "1"], {"--x"}) == ["--", "1"]


def test_repeated_names_and_what_follows_two_dashes() -> None:
    assert list(repeat_names(["--x", "1", "2", "--x", "3", "--", "--x", "4", "5"], {"--x"})) == [
        *("--x", "1", "--x", "2", "--x", "3"),
        *("--", "--x", "4", "5"),
    ]
