"""The record of provenance, the lineage of a cell, and what --verify finds."""

import json
from pathlib import Path
from typing import Any

import own_settings
import pyarrow.parquet as pq
import pytest
from deepscaler import records
from deepscaler.errors import JobError, UserError
from deepscaler.files import sha256
from deepscaler.reporting.file_names import name_of, path_of
from deepscaler.reporting.provenance.jobs import job_records, run_jobs
from deepscaler.reporting.provenance.record_provenance import ADDRESS, record_provenance
from deepscaler.reporting.provenance.trace import trace
from synthetic_run import samples_of, write_record

CRATE = "results/mini/ro-crate-metadata.json"
CELL = {"row": "deepscaler-8k", "column": "aime_2024"}


def graph(run: Path) -> dict[str, dict[str, Any]]:
    return {entity["@id"]: entity for entity in json.loads((run / CRATE).read_text(encoding="utf-8"))["@graph"]}


def traced(run: Path, capsys: pytest.CaptureFixture[str], verify: bool = False, **cell: str) -> str:
    trace(table=run / "results/mini/table.csv", row=cell.get("row"), column=cell.get("column"), verify=verify)
    return capsys.readouterr().out


def test_every_file_has_its_digest(run: Path) -> None:
    entities = graph(run)
    files = {key: entity for key, entity in entities.items() if "sha256" in entity}
    for key, entity in files.items():
        name = key.removeprefix(ADDRESS) if key.startswith(ADDRESS) else f"results/mini/{key}"
        assert sha256(path_of(name)) == entity["sha256"], name
        assert entity["name"] == name
    assert "table.csv" in files
    assert f"{ADDRESS}work/mini/samples/deepscaler-8k/table-1of1.parquet" in files
    assert f"{ADDRESS}work/mini/checkpoints/16k-1/model.safetensors" in files, "the weights beside a manifest"
    parts = {part["@id"] for part in entities["./"]["hasPart"]}
    assert set(files) <= parts


def test_jobs_record_their_inputs_outputs_and_times(run: Path) -> None:
    entities = graph(run)
    actions = [entity for key, entity in entities.items() if key.startswith("#job-")]
    assert len(actions) == len(run_jobs("mini"))
    train = next(action for action in actions if "checkpoints/16k-1" in action["description"])
    assert train["description"].startswith("deepscaler train_segment --output")
    assert "tee" not in train["description"]
    assert train["startTime"] == "2023-11-14T22:13:20+00:00"
    assert train["endTime"] == "2023-11-14T22:13:30+00:00"
    assert {ref["@id"] for ref in train["object"]} == {
        f"{ADDRESS}work/mini/checkpoints/8k-2/checkpoint.json", f"{ADDRESS}work/mini/prompts/16k-1.jsonl"
    }  # fmt: skip
    made = {ref["@id"].rsplit("/", 1)[1] for ref in train["result"]}
    assert made == {"checkpoint.json", "model.safetensors", "metrics.jsonl"}
    assert entities["#run"]["instrument"] == {"@id": "source/Snakefile"}
    assert entities["#seed"]["value"] == 42


def test_the_record_holds_no_path_of_the_machine(run: Path) -> None:
    assert str(run) not in (run / CRATE).read_text(encoding="utf-8")
    assert "/tmp" not in (run / CRATE).read_text(encoding="utf-8")


def test_names_are_the_same_wherever_things_lie(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deepscaler import settings

    monkeypatch.setattr(settings, "site", lambda: own_settings.site(work="/scratch/someone/work"))
    assert name_of("/scratch/someone/work/mini/data/train/train.parquet") == "work/mini/data/train/train.parquet"
    assert path_of("work/mini/x") == Path("/scratch/someone/work/mini/x")
    assert name_of(str(run / "results/mini/table.csv")) == "results/mini/table.csv"


def test_long_names_and_unfinished_records(run: Path) -> None:
    """Snakemake cuts long names into folders, and leaves records of jobs that did not end."""
    folder = run / "long"
    write_record(folder, "sample", [], ["work/mini/" + "x" * 150 + ".parquet"])
    (whole,) = (folder / ".snakemake/metadata").iterdir()
    name = whole.name
    cut = whole.parent / f"@{name[:100]}" / name[100:]
    cut.parent.mkdir()
    whole.rename(cut)
    (whole.parent / "bm90IGpzb24=").write_text("{", encoding="utf-8")
    found = dict(job_records(folder / ".snakemake/metadata"))
    assert list(found) == ["work/mini/" + "x" * 150 + ".parquet"]


def test_a_cell_is_followed_to_base_prompts_and_benchmark(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = traced(run, capsys, **CELL)
    assert text.startswith("DeepScaleR 8K, aime_2024: ")
    for name in (
        "results/mini/scores/deepscaler-8k-table.json",
        "work/mini/grades/deepscaler-8k/table.parquet",
        "work/mini/samples/deepscaler-8k/table-1of1.parquet",
        "work/mini/checkpoints/8k-2/checkpoint.json",
        "work/mini/checkpoints/8k-1/checkpoint.json",
        "work/mini/models/mini-base/model.json",
        "work/mini/prompts/8k-1.jsonl",
        "work/mini/benchmarks/mini-aime-2024.parquet",
    ):
        assert name in text, name
    for name in ("deepscaler-16k", "16k-1", "grades/mini-base", "mini-math-500", "curve"):
        assert name not in text, name


def test_a_table_is_followed_whole(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = traced(run, capsys)
    for name in ("grades/mini-base", "grades/deepscaler-24k", "24k-1/checkpoint.json", "mini-math-500"):
        assert name in text, name


def test_an_untouched_run_verifies(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Verified" in traced(run, capsys, verify=True)
    assert "Verified" in traced(run, capsys, verify=True, **CELL)


def tamper_completion(run: Path) -> str:
    path = samples_of(run, "deepscaler-8k", "table")
    rows = pq.read_table(path).to_pylist()
    rows[0]["response"] += " "
    records.write(path, rows, records.COMPLETION)
    return "work/mini/samples/deepscaler-8k/table-1of1.parquet"


def tamper_weights(run: Path) -> str:
    path = run / "work/mini/checkpoints/8k-1/model.safetensors"
    path.write_bytes(b"!" + path.read_bytes()[1:])
    return "work/mini/checkpoints/8k-1/model.safetensors"


def tamper_table(run: Path) -> str:
    path = run / "results/mini/table.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[2].split(",")
    cells[1] = str(float(cells[1]) + 1)
    path.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]) + "\n", encoding="utf-8")
    return "results/mini/table.csv"


def remove_prompts(run: Path) -> str:
    (run / "work/mini/prompts/8k-1.jsonl").unlink()
    return "work/mini/prompts/8k-1.jsonl"


@pytest.mark.parametrize("tamper", [tamper_completion, tamper_weights, tamper_table, remove_prompts])
def test_what_was_tampered_with_is_named(run: Path, capsys: pytest.CaptureFixture[str], tamper: Any) -> None:
    name = tamper(run)
    with pytest.raises(JobError, match=name):
        traced(run, capsys, verify=True, **CELL)
    assert f"DIFFERS  {name}" in capsys.readouterr().out


def test_a_cell_that_its_grades_do_not_give_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Even where the record was made after the table was changed."""
    tamper_table(run)
    record_provenance(scale="mini", folder=run / "results/mini", work=run / "work/mini", output=run / CRATE)
    with pytest.raises(JobError, match=r"deepscaler-8k, aime_2024: .*, its grades give"):
        traced(run, capsys, verify=True, **CELL)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"row": "deepscaler-8"}, "did you mean 'deepscaler-8k'"),
        ({"row": "deepscaler-8k", "column": "aime"}, "did you mean 'aime_2024'"),
    ],
)
def test_a_wrong_cell_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str], cell: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        traced(run, capsys, **cell)


def test_without_a_record_there_is_a_hint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / CRATE).unlink()
    with pytest.raises(UserError, match="no record of provenance"):
        traced(run, capsys)


def test_a_column_without_a_row_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"`--column` needs a `--row`.*mini-base, deepscaler-8k"):
        traced(run, capsys, column="aime_2024")
