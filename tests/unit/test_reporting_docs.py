"""The numbers in README.md and docs/ are those of their sources."""

import csv
import re
import shutil
from pathlib import Path

import pytest
from deepscaler import settings
from deepscaler.cost.processor import estimate_processor
from deepscaler.errors import JobError, UserError
from deepscaler.maintenance.write_docs import BLOCKS, documents, filled, write_docs
from deepscaler.reporting.check import SAMPLING_ERRORS, TRAINING_POINTS, keep
from deepscaler.reporting.claims.check_claims import check_claims
from deepscaler.reporting.compute.account_compute import planned_hours
from deepscaler.reporting.compute.ledger_input import read_ledger
from deepscaler.reporting.compute.plan import compare
from deepscaler.settings.claims import claims

TABLES = ("claims-mini", "claims-released", "claims-paper", "claims-others", "claims-arithmetic", "claims-unmeasured")


def test_documents_are_up_to_date(root: Path) -> None:
    write_docs(check=True)
    assert {path.name for path in documents(root)} >= {"CLAIMS.md", "ARTIFACT.md"}


@pytest.fixture
def page(run: Path) -> Path:
    path = run / "README.md"
    path.write_text("A <!-- begin mini-table -->\nold\n<!-- end mini-table --> B\n", encoding="utf-8")
    return path


def test_a_block_is_filled_from_the_reference(run: Path, page: Path) -> None:
    assert "Not run yet" in filled(page)
    keep(folder=run / "results/mini", reference=run / "results/reference/mini")
    with pytest.raises(JobError, match=r"README\.md"):
        write_docs(check=True)
    write_docs(check=False)
    write_docs(check=True)
    text = page.read_text(encoding="utf-8")
    assert "DeepScaleR 24K" in text
    assert text.startswith("A <!-- begin")
    assert text.endswith("end mini-table --> B\n")


def test_measured_values_come_from_the_reference_run(run: Path) -> None:
    assert "| – | not run |" in BLOCKS["claims-mini"]()
    keep(folder=run / "results/mini", reference=run / "results/reference/mini")
    (line,) = [line for line in BLOCKS["claims-mini"]().splitlines() if "**mini-steps**" in line]
    assert line.endswith("| 36 | met |")
    assert "train_segment" in BLOCKS["mini-compute"]()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- begin mini-tabel -->\n<!-- end mini-tabel -->", "did you mean 'mini-table'"),
        ("<!-- begin mini-table -->\n", "a block is not closed"),
    ],
)
def test_a_wrong_block_is_refused(run: Path, text: str, message: str) -> None:
    (run / "README.md").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        write_docs(check=True)


@pytest.fixture(scope="module")
def artifact(root: Path) -> str:
    return " ".join((root / "docs" / "ARTIFACT.md").read_text(encoding="utf-8").split())


def numbers(pattern: str, text: str) -> list[float]:
    """The numbers at a pattern's only place in a text, where N stands for one; the words around may change."""
    [found] = re.findall(pattern.replace("N", r"(\d[\d,]*(?:\.\d+)?)"), text)
    return [float(number.replace(",", "")) for number in ([found] if isinstance(found, str) else found)]


def test_numbers_in_prose_are_those_of_the_code(artifact: str) -> None:
    assert numbers("N standard errors", artifact) == [SAMPLING_ERRORS]
    assert numbers("N points where", artifact) == [TRAINING_POINTS]
    expected = {claim.id: claim.expected for claim in claims().claims}
    [claims_two] = re.findall(r"\*\*C2\*\*(.+?)- \*\*C3\*\*", artifact)
    assert numbers("N %", claims_two) == [expected["aime-deepscaler"]]
    assert numbers("N points", claims_two) == [expected["aime-gain"]]
    assert numbers("O1-Preview's N", claims_two) == [expected["o1-aime"]]
    assert numbers("N A100-hours\\.", artifact) == [expected["gpu-hours"]]


def test_numbers_in_prose_are_those_of_the_kept_run(
    artifact: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    kept = root / "results" / "reference" / "mini"
    with (kept / "table.csv").open(encoding="utf-8", newline="") as file:
        averages = {row["system"]: round(float(row["average"]), 1) for row in csv.DictReader(file)}
    known = [run.averages for run in claims().varies.runs if "the kept run" in run.of]
    assert known == [averages], "varies.runs of config/claims.yaml"
    check_claims(
        scale="released", claims_file=root / "config" / "claims.yaml", folder=kept, output=tmp_path / "claims.csv"
    )
    assert f"`{capsys.readouterr().out.splitlines()[0]}`" in artifact, "a command's output, to the letter"
    ledger = read_ledger("mini", kept / "compute.csv")
    assert ledger
    plan = " ".join((root / "docs" / "plan.md").read_text(encoding="utf-8").split())
    assert numbers("predicts N of", plan) == [round(compare(estimate_processor("mini"), ledger).ratio, 2)]


def test_every_claim_is_in_one_table() -> None:
    found = re.findall(r"^\| \*\*([a-z0-9-]+)\*\*", "".join(BLOCKS[name]() for name in TABLES), re.MULTILINE)
    assert sorted(found) == sorted(claim.id for claim in claims().claims)


def test_the_ladder_has_every_scale_the_cheapest_first() -> None:
    rows = [line.strip("| ").split(" | ") for line in BLOCKS["ladder"]().splitlines()[2:]]
    names = [row[0].strip("`") for row in rows]
    assert sorted(names) == settings.scale_names()
    on_gpus = [name for name in names if settings.load_scale(name).device == "gpu"]
    assert names[-len(on_gpus) :] == on_gpus
    hours = [planned_hours(name)["total", ""][1] for name in on_gpus]
    assert hours == sorted(hours)
    assert all(name in row[-1] for name, row in zip(names, rows, strict=True)), "the command"


def test_the_effort_is_what_the_plan_says() -> None:
    assert set(claims().effort) >= {"mini", "headline", "released", "paper"}
    for scale, effort in claims().effort.items():
        if settings.load_scale(scale).device == "cpu":
            seconds = estimate_processor(scale).seconds
            assert seconds.low <= effort.machine_hours * 3600 <= seconds.high
        else:
            assert effort.machine_hours == pytest.approx(planned_hours(scale)["total", ""][1], rel=0.1), scale


def test_the_picture_of_the_dag_has_every_rule(root: Path) -> None:
    picture = (root / "docs" / "dag.md").read_text(encoding="utf-8")
    rules = set()
    for path in (root / "workflow" / "rules").glob("*.smk"):
        rules |= set(re.findall(r"^rule (\w+):", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert rules <= set(re.findall(r"\[(\w+)\]", picture))


def test_the_reference_is_replaced_whole(run: Path) -> None:
    kept = run / "results/reference/mini"
    kept.mkdir(parents=True)
    (kept / "old.csv").write_text("", encoding="utf-8")
    keep(folder=run / "results/mini", reference=kept)
    names = {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
    assert {"table.csv", "table.md", "settings.yaml", "claims.csv", "figures/figure-1.png"} <= names
    assert "old.csv" not in names
    assert not any(name.startswith(("notebooks", "source", "scores")) for name in names)
    shutil.rmtree(run / "results/mini")
    with pytest.raises(UserError, match="no results to keep"):
        keep(folder=run / "results/mini", reference=kept)
