"""`make check`: a run held against the reference, and what it must not let pass."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from deepscaler.errors import JobError, UserError
from deepscaler.reporting.check import check, keep


@pytest.fixture
def kept(run: Path) -> Path:
    """The run itself, kept as the reference. Its claims are left out: they speak of a made-up run."""
    (run / "results/mini/claims.csv").unlink()
    keep(run / "results/mini", run / "results/reference/mini")
    return run


def held(run: Path) -> None:
    check("mini", run / "results/mini", run / "results/reference/mini")


def rewrite(path: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    columns = list(rows[0])
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(rows)


def test_the_same_run_agrees(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held(kept)
    assert "agrees with" in capsys.readouterr().out


def test_sampling_may_differ_a_little(kept: Path) -> None:
    rewrite(kept / "results/mini/table.csv", lambda rows: rows[0].update(average=str(float(rows[0]["average"]) + 1)))
    held(kept)


def test_training_that_learned_nothing_is_found(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sabotage: the last checkpoint is no better than the base."""
    rewrite(kept / "results/mini/table.csv", lambda rows: rows[3].update(average=rows[0]["average"]))
    with pytest.raises(JobError, match=r"table\.csv: DeepScaleR 24K, average"):
        held(kept)
    assert "DIFFERS  table.csv: DeepScaleR 24K" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("training.csv", lambda rows: rows.pop(), "training.csv: 35 steps, reference 36"),
        ("curation.csv", lambda rows: rows[0].update(kept="5"), "curation.csv"),
    ],
)
def test_counts_must_be_equal(
    kept: Path, name: str, change: Callable[[list[dict[str, str]]], object], message: str
) -> None:
    rewrite(kept / "results/mini" / name, change)
    with pytest.raises(JobError, match=message):
        held(kept)


def test_a_missing_file_is_found(kept: Path) -> None:
    (kept / "results/mini/figures/figure-2.png").unlink()
    with pytest.raises(JobError, match=r"figures/figure-2.png: is missing"):
        held(kept)


def test_other_settings_are_said_first(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = kept / "results/mini/settings.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(text.splitlines()[0], "digest: abc"), encoding="utf-8")
    with pytest.raises(JobError, match=r"first: settings\.yaml: settings abc"):
        held(kept)


def test_a_claim_outside_is_found(kept: Path) -> None:
    header = "id,expected,unit,measured,verdict\n"
    (kept / "results/mini/claims.csv").write_text(header + "mini-learns,≥ 20,points,3,outside\n", encoding="utf-8")
    with pytest.raises(JobError, match="mini-learns: expected ≥ 20 points, measured 3"):
        held(kept)


def test_nothing_to_compare_is_an_error_for_people(kept: Path) -> None:
    shutil.rmtree(kept / "results/reference")
    with pytest.raises(UserError, match="no run to compare with"):
        held(kept)
