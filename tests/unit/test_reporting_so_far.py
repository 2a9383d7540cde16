"""`deepscaler report --so-far`: a page of what there is, in the middle of a run, which it leaves as it is."""

import html
import re
import shutil
from pathlib import Path

import pytest
from deepscaler import dag
from deepscaler.cli import build
from deepscaler.errors import UserError
from deepscaler.files import sha256
from deepscaler.reporting.report import so_far
from synthetic_run import HOSTILE, SCALE, work
from typer.testing import CliRunner

LATER = ("16k-1", "24k-1")


def cut_off(run: Path, steps: int) -> None:
    """The made-up run as it was after some steps of the 16K stage: what is made later is not there."""
    results = run / "results" / SCALE
    rows = (work(run) / "checkpoints/16k-1/metrics.jsonl").read_text().splitlines()[:steps]
    for name in LATER:
        shutil.rmtree(work(run) / "checkpoints" / name)
    for path in [*results.glob("*.csv"), *results.glob("*.json"), results / "table.md", results / "settings.yaml"]:
        if path.name not in ("curation.csv", "contamination.csv"):
            path.unlink()
    for name in ("figures", "notebooks"):
        shutil.rmtree(results / name)
    for system in ("deepscaler-16k", "deepscaler-24k"):
        (results / f"scores/{system}-table.json").unlink()
    if rows:
        (work(run) / "runs/16k-1-0123456789ab").mkdir(parents=True)
        (work(run) / "runs/16k-1-0123456789ab/metrics.jsonl").write_text("\n".join([*rows, '{"step": 9, "st']))


def files(folder: Path) -> dict[str, str]:
    return {str(path): sha256(path) for path in folder.rglob("*") if path.is_file()}


def test_the_middle_of_a_run(run: Path) -> None:
    cut_off(run, 7)
    before = files(run)
    page = so_far.report(scale=SCALE, so_far=True, output=None)
    assert page == run / "results" / SCALE / "so-far.html"
    after = files(run)
    assert {name for name in after if after[name] != before.get(name)} == {str(page)}, "all else is as it was"
    text = page.read_text(encoding="utf-8")
    assert "<b>So far.</b>" in text
    assert "stage 16k, step 7, segment 16k-1" in text
    assert "Left: " in text
    table = text[text.index('id="table"') : text.index('id="figures"')]
    assert [name for name in ("mini base", "DeepScaleR 8K", "DeepScaleR 16K") if f">{name}</th>" in table] == [
        "mini base",
        "DeepScaleR 8K",
    ]
    assert re.findall(r"<b>Figure (\d)", text) == ["1", "2", "3", "4", "5"]
    assert "Not yet: to be checked when the run has ended (12)" in text
    assert not re.search(r'class="verdict outside">outside', text), "nothing is judged that the run may still change"
    assert html.escape(HOSTILE, quote=False).split("'")[0] in text
    assert "<script>alert" not in text


def test_the_start_of_a_run(run: Path) -> None:
    for folder in ("results", "work", "logs"):
        shutil.rmtree(run / folder)
    text = so_far.report(scale=SCALE, so_far=True, output=None).read_text(encoding="utf-8")
    assert "training has not begun" in text
    assert "There is no table yet" in text
    assert "<b>Figure" not in text


def test_the_end_of_the_first_stage_is_drawn_when_it_has_ended(run: Path) -> None:
    cut_off(run, 0)
    (work(run) / "checkpoints/8k-2/metrics.jsonl").unlink()
    text = so_far.report(scale=SCALE, so_far=True, output=None).read_text(encoding="utf-8")
    assert re.findall(r"<b>Figure (\d)", text) == ["1", "2", "4", "5"]


def test_a_scale_without_training(run: Path) -> None:
    text = so_far.report(scale="released", so_far=True, output=run / "page.html").read_text(encoding="utf-8")
    assert f"0 of {len(dag.evaluated('released'))} systems are scored" in text


def test_a_file_that_is_gone_meanwhile_starts_anew(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(run, 7)
    real, calls = so_far.tables, []

    def once(scale: str, folder: Path) -> None:
        calls.append(folder)
        if len(calls) == 1:
            raise UserError("no such file", folder / "scores/8k-1-curve.json")
        real(scale, folder)

    monkeypatch.setattr(so_far, "tables", once)
    so_far.report(scale=SCALE, so_far=True, output=None)
    assert len(calls) == 2
    assert not any(folder.exists() for folder in calls)


def test_the_whole_report_is_the_workflows(run: Path) -> None:
    answer = CliRunner().invoke(build(), ["report", "--scale", "mini"])
    assert isinstance(answer.exception, UserError)
    assert "snakemake results/mini/report.html" in str(answer.exception)
