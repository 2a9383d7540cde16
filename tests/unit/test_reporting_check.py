"""`make check`: a run held against the reference, and what it must not let pass."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from deepscaler.errors import JobError, UserError
from deepscaler.reporting.check import check
from deepscaler.reporting.claims.check_claims import check_claims
from deepscaler.reporting.equality import differences, digests
from synthetic_run import keep


@pytest.fixture
def kept(run: Path) -> Path:
    """The run itself, kept as the reference. Its claims are left out: they speak of a made-up run."""
    (run / "results/mini/claims.csv").unlink()
    keep(run)
    return run


def held(run: Path) -> None:
    check(scale="mini", folder=run / "results/mini", reference=run / "results/reference/mini")


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


def test_other_settings_are_reported_first(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_claim_outside_in_the_reference_too_is_reported_but_no_difference(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = "id,expected,unit,measured,verdict\nmini-gain-after-8k,≤ 0.01,p,1,outside\n"
    for folder in ("results/mini", "results/reference/mini"):
        (kept / folder / "claims.csv").write_text(row, encoding="utf-8")
    held(kept)
    assert "outside in the reference too: mini-gain-after-8k" in capsys.readouterr().out


def test_equal_bytes_and_equal_numbers_are_listed_apart(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(kept / "results/mini/tokens.csv", lambda rows: rows[0].update(tokens_all="1"))
    held(kept)
    equal, other = capsys.readouterr().out.splitlines()[:2]
    assert equal.startswith("Equal to the byte: ")
    assert "curation.csv" in equal
    assert "tokens.csv" not in equal
    assert other == "Not equal, compared by number: tokens.csv"


@pytest.fixture
def real(run: Path, root: Path) -> Path:
    """The reference run that is committed, as if it had been run again: equal numbers, all files there."""
    reference = root / "results" / "reference" / "mini"
    if not (reference / "table.csv").is_file():
        pytest.skip("no reference run is committed")
    for target in ("results/reference/mini", "results/mini"):
        shutil.copytree(reference, run / target, dirs_exist_ok=True)
    return run


def test_the_committed_run_agrees_with_itself(real: Path) -> None:
    held(real)


def test_the_committed_run_with_another_sampling_agrees(real: Path) -> None:
    """Every average one standard error further, as one run in three comes out."""

    def shift(rows: list[dict[str, str]]) -> None:
        for row in rows:
            row["average"] = str(float(row["average"]) - float(row["average_standard_error"]))

    rewrite(real / "results/mini/table.csv", shift)
    held(real)


def test_the_committed_run_without_its_training_is_found(real: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sabotage: weights that never moved answer like the base model, whatever the stage."""

    def untrained(rows: list[dict[str, str]]) -> None:
        for row in rows[1:]:
            row.update({column: rows[0][column] for column in row if column not in ("model", "system")})

    rewrite(real / "results/mini/table.csv", untrained)
    check_claims(
        scale="mini",
        claims_file=real / "config/claims.yaml",
        folder=real / "results/mini",
        output=real / "results/mini/claims.csv",
    )
    with pytest.raises(JobError):
        held(real)
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith("DIFFERS")]
    assert any("table.csv: DeepScaleR 24K, average" in line for line in found)
    assert any("claims.csv: mini-learns" in line for line in found)


def test_nothing_to_compare_is_an_error_for_people(kept: Path) -> None:
    shutil.rmtree(kept / "results/reference")
    with pytest.raises(UserError, match="no run to compare with"):
        held(kept)


def test_bytes_come_first_and_a_difference_has_its_reason(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held(kept)
    whole = capsys.readouterr().out
    assert "Equal to the byte: agreement.csv" in whole
    assert "Not equal" not in whole
    path = kept / "results/mini/settings.yaml"
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    rewrite(kept / "results/mini/table.csv", lambda rows: rows[0].update(average=str(float(rows[0]["average"]) + 1)))
    held(kept)
    assert "They should not: commit, settings, versions and class of processor are the same" in capsys.readouterr().out
    for change, said in (
        ({"commit": "abc"}, "They may differ: commit abc, reference"),
        ({"versions": record["versions"] | {"torch": "9"}}, "They may differ: versions torch 9, reference torch"),
        ({"processor": "Intel x86-64-v3"}, "They may differ: class of processor Intel x86-64-v3, reference"),
    ):
        record |= change
        path.write_text(yaml.safe_dump(record), encoding="utf-8")
        held(kept)
        assert said in capsys.readouterr().out


def test_times_in_the_table_of_training_are_no_difference(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(kept / "results/mini/training.csv", lambda rows: rows[3].update(seconds="99", seconds_update="88"))
    held(kept)
    assert "Not equal" not in capsys.readouterr().out
    rewrite(kept / "results/mini/training.csv", lambda rows: rows[3].update(kl="0.5"))
    held(kept)
    assert "Not equal, compared by number: training.csv" in capsys.readouterr().out


def test_what_is_held_is_all_but_times(run: Path) -> None:
    """A new file of results is held without being named anywhere."""
    results, work = run / "results/mini", run / "work/mini"
    (results / "new.csv").write_text("1\n")
    before = digests(results, work)
    assert {"new.csv", "table.csv", "training.csv", "checkpoints/8k-1/checkpoint.json"} <= before.keys()
    assert not {"compute.csv", "report.html", "ro-crate-metadata.json"} & before.keys()
    (work / "checkpoints/8k-1/times.jsonl").write_text("{}\n")
    assert digests(results, work) == before
    (work / "checkpoints/8k-1/metrics.jsonl").write_text("{}\n")
    (results / "new.csv").unlink()
    assert differences(before, digests(results, work)) == ["checkpoints/8k-1/metrics.jsonl", "new.csv"]


def test_training_may_differ_on_another_class_of_processor_only(kept: Path) -> None:
    def move(rows: list[dict[str, str]]) -> None:
        rows[2].update(average=str(float(rows[2]["average"]) + 18))

    rewrite(kept / "results/mini/table.csv", move)
    with pytest.raises(JobError, match=r"table\.csv: DeepScaleR 16K, average"):
        held(kept)
    path = kept / "results/mini/settings.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("processor: ", "processor: other "), encoding="utf-8")
    held(kept)
