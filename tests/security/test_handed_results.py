"""A folder of results that was forged before it was handed over: `trace --verify` finds the number, and names it.

Every forgery also puts the changed files' new digests into the record, as whoever forges would.
"""

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from deepscaler import dag, records
from deepscaler.errors import DeepscalerError, JobError, UserError
from deepscaler.files import sha256
from deepscaler.reporting.file_names import path_of
from deepscaler.reporting.provenance.record_provenance import ADDRESS
from deepscaler.reporting.provenance.trace import trace

CRATE = "results/mini/ro-crate-metadata.json"
TABLE = "results/mini/table.csv"
SYSTEM = "deepscaler-8k"
GRADES = f"work/mini/grades/{SYSTEM}/table.parquet"
SAMPLES = f"work/mini/samples/{SYSTEM}/table-1of1.parquet"
SCORES = f"results/mini/scores/{SYSTEM}-table.json"


def record_anew(run: Path) -> None:
    """Put the digests of the files as they are now into the record."""
    crate = json.loads((run / CRATE).read_text(encoding="utf-8"))
    for entity in crate["@graph"]:
        if "sha256" in entity:
            path = path_of(entity["name"])
            entity |= {"sha256": sha256(path), "contentSize": str(path.stat().st_size)} if path.is_file() else {}
    (run / CRATE).write_text(json.dumps(crate), encoding="utf-8")


def verify(run: Path, share: float = 1.0, **cell: str) -> None:
    trace(table=run / TABLE, row=cell.get("row"), column=cell.get("column"), verify=True, share=share)


def edit_csv(path: Path, system: str, **cells: str) -> None:
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        row.update(cells if row["system"] == system else {})
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def edit_table(name: str, schema: Any, change: Callable[[list[dict[str, Any]]], object], run: Path) -> None:
    rows, metadata = records.read(run / name, schema).to_pylist(), records.metadata(run / name)
    change(rows)
    records.write(run / name, rows, schema, metadata)


def edit_json(path: Path, *keys: str, value: object) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    inside = content
    for key in keys[:-1]:
        inside = inside[key]
    inside[keys[-1]] = value
    path.write_text(json.dumps(content), encoding="utf-8")


def average(run: Path) -> None:
    edit_csv(run / TABLE, SYSTEM, average="99.9000")


def error(run: Path) -> None:
    edit_csv(run / TABLE, SYSTEM, average_standard_error="0.0001")


def cell(run: Path) -> None:
    edit_csv(run / TABLE, SYSTEM, math_500="99.9000")


def paper_number(run: Path) -> None:
    edit_csv(run / TABLE, SYSTEM, model_sha256="f" * 64)


def tokens(run: Path) -> None:
    edit_csv(run / "results/mini/tokens.csv", SYSTEM, tokens_all="1.0")


def p_value(run: Path) -> None:
    edit_csv(run / "results/mini/comparisons.csv", SYSTEM, p_bootstrap="0.000100")


def scores(run: Path) -> None:
    edit_json(run / SCORES, "benchmarks", "mini-math-500", "standard_error", value=0.01)


def claim(run: Path) -> None:
    path = run / "results/mini/claims.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace(",outside,", ",met,", 1) if ",outside," in text else text.replace(",met,", ",outside,", 1)
    )


def training_step(run: Path) -> None:
    path = run / "results/mini/training.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    reward = lines[0].split(",").index("reward")
    cells = lines[3].split(",")
    cells[reward] = "0.99"
    path.write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:]]) + "\n", encoding="utf-8")


def flipped_grade(run: Path) -> None:
    """A wrong answer graded right, and every number made anew of the grades."""

    def flip(rows: list[dict[str, Any]]) -> None:
        row = next(row for row in rows if not row["paper"])
        row |= {"paper": True, "strict": True}

    edit_table(GRADES, records.GRADE, flip, run)
    numbers_anew(run)


def edited_answer(run: Path) -> None:
    """A right answer written into a completion; its grade, which says otherwise, stays."""

    def edit(rows: list[dict[str, Any]]) -> None:
        row = next(row for row in rows if "{-1}" in row["response"])
        row["response"] = row["response"].replace("{-1}", f"{{{int(row['problem_id'].rsplit('/', 1)[1])}}}")

    edit_table(SAMPLES, records.COMPLETION, edit, run)


def another_seed(run: Path) -> None:
    """The best of several draws: a completion that another seed gave."""
    edit_table(SAMPLES, records.COMPLETION, lambda rows: rows[5].update(seed=7), run)


def exchanged_weight(run: Path) -> None:
    (run / "work/mini/checkpoints/8k-2/model.safetensors").write_bytes(b"other weights")


def exchanged_weight_and_manifest(run: Path) -> None:
    path = run / "work/mini/checkpoints/8k-2/model.safetensors"
    path.write_bytes(b"other weights")
    edit_json(path.with_name("checkpoint.json"), "files", "model.safetensors", value=sha256(path))


def another_parent(run: Path) -> None:
    edit_json(run / "work/mini/models/mini-base/model.json", "seed", value=43)


def another_run(run: Path) -> None:
    """A table whose numbers are another system's."""
    edit_csv(run / TABLE, SYSTEM, **dict.fromkeys(("aime_2024", "math_500", "average"), "12.5000"))


def other_settings(run: Path) -> None:
    path = run / "results/mini/settings.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("digest: ", "digest: 0", 1), encoding="utf-8")


def no_tokens(run: Path) -> None:
    edit_table(SAMPLES, records.COMPLETION, lambda rows: rows[3].update(tokens=None), run)


def missing_row_of_grades(run: Path) -> None:
    edit_table(GRADES, records.GRADE, lambda rows: rows.pop(7), run)


def missing_row_of_samples(run: Path) -> None:
    edit_table(SAMPLES, records.COMPLETION, lambda rows: rows.pop(7), run)


def infinite(run: Path) -> None:
    """A number that every other is near to, measured by the larger of the two."""
    edit_csv(run / TABLE, SYSTEM, average="1e999")


def infinite_score(run: Path) -> None:
    edit_json(run / SCORES, "benchmarks", "mini-math-500", "pass_at_1", value=float("inf"))


def edit_lines(path: Path, *cells: str) -> None:
    """Put a cell at each line's end."""
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("".join(f"{line},{cell}\n" for line, cell in zip(lines, cells, strict=False)), encoding="utf-8")


def column_twice(run: Path) -> None:
    """People read the first of two columns of one name, parsers the last."""
    path = run / TABLE
    with path.open(encoding="utf-8", newline="") as handle:
        header, *rows = csv.reader(handle)
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([["average", *header], *(["99.9", *row] for row in rows)])


def lookalike_column(run: Path) -> None:
    edit_lines(run / TABLE, "\u0430verage", *["99.9"] * 20)


def cells_beyond_the_header(run: Path) -> None:
    edit_lines(run / "results/mini/claims.csv", "", *["99.9"] * 999)
    path = run / "results/mini/claims.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",\n", "\n", 1), encoding="utf-8")


def edited_settings(run: Path) -> None:
    """Settings that read otherwise, under the digest of the true ones."""
    path = run / "results/mini/settings.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("temperature: 0.6", "temperature: 0.0"), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text


def missing_row_of_table(run: Path) -> None:
    path = run / TABLE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if f",{SYSTEM}," not in line), encoding="utf-8")


def numbers_anew(run: Path) -> None:
    """Scores and tables of the grades as they are."""
    import synthetic_run
    from deepscaler.evaluation.score import score

    for system, suite in dag.scored("mini"):
        grades, output = synthetic_run.grades_of(run, system, suite), synthetic_run.scores_of(run, system, suite)
        score(scale="mini", system=system, suite=suite, grades=grades, output=output)
    synthetic_run.make_tables(run)


FORGERIES: list[tuple[Callable[[Path], None], str]] = [
    (average, rf"table.csv, {SYSTEM}, average: 99.9000, its grades give \d"),
    (error, rf"table.csv, {SYSTEM}, average_standard_error: 0.0001, its grades give \d"),
    (cell, rf"table.csv, {SYSTEM}, math_500: 99.9000, its grades give \d"),
    (paper_number, rf"table.csv, {SYSTEM}, model_sha256: fff"),
    (tokens, rf"tokens.csv, {SYSTEM}, aime_2024, tokens_all: 1.0, its grades give \d"),
    (p_value, rf"comparisons.csv, {SYSTEM}, .*p_bootstrap: 0.0001"),
    (scores, rf"scores/{SYSTEM}-table.json, benchmarks, mini-math-500, standard_error: 0.01, its grades give"),
    (claim, r"claims.csv, .*verdict: \w+, the results give"),
    (training_step, r"training.csv, .*reward: 0.99, the checkpoints give"),
    (flipped_grade, rf"{GRADES}, .* sample \d+: paper True, graded again False"),
    (edited_answer, rf"{GRADES}, .* sample \d+: answer '-1', graded again"),
    (another_seed, rf"{SAMPLES}, .* sample 5: seed 7, asked for \d"),
    (exchanged_weight, r"8k-2/model.safetensors: sha256 is \w+, checkpoint.json says"),
    (exchanged_weight_and_manifest, rf"{SAMPLES}: sampled from the weights \w+, .*8k-2/checkpoint.json has"),
    (another_parent, r"8k-1/checkpoint.json: its parent .* is not there"),
    (another_run, rf"table.csv, {SYSTEM}, aime_2024: 12.5000, its grades give"),
    (other_settings, r"settings.yaml: made under the settings 0"),
    (infinite, rf"table.csv, {SYSTEM}, average: 1e999, its grades give \d"),
    (infinite_score, rf"scores/{SYSTEM}-table.json, benchmarks, mini-math-500, pass_at_1: inf, its grades give"),
    (column_twice, r"table.csv: columns that are not the workflow's: average"),
    (lookalike_column, "table.csv: columns that are not the workflow's: \\\\u0430verage|\u0430verage"),
    (cells_beyond_the_header, r"claims.csv: cells beyond the last column"),
    (edited_settings, r"settings.yaml, settings, .*temperature: 0.0, this checkout has"),
    (no_tokens, "malformed, .*TypeError"),
    (missing_row_of_grades, rf"{GRADES}: 1 rows missing, first mini-aime-2024/0000 sample 7"),
    (missing_row_of_samples, rf"{SAMPLES}: 1 samples missing, first \('mini-aime-2024/0000', 7\)"),
    (missing_row_of_table, rf"table.csv, {SYSTEM}: the row is missing"),
]


@pytest.mark.parametrize(("forge", "named"), FORGERIES, ids=[forge.__name__ for forge, _ in FORGERIES])
def test_a_forgery_is_found_and_named(
    run: Path, capsys: pytest.CaptureFixture[str], forge: Callable[[Path], None], named: str
) -> None:
    import re

    forge(run)
    record_anew(run)
    capsys.readouterr()
    with pytest.raises(JobError):
        verify(run, share=1.0 if forge in (flipped_grade, edited_answer) else 0.001)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("DIFFERS")]
    assert any(re.search(named, line) for line in lines), lines


@pytest.mark.parametrize(
    "forge", [average, infinite, column_twice, error, flipped_grade, exchanged_weight, another_seed]
)
def test_the_cell_alone_is_enough(run: Path, forge: Callable[[Path], None]) -> None:
    forge(run)
    record_anew(run)
    with pytest.raises(JobError):
        verify(run, row=SYSTEM, column="average")


def test_another_table_is_not_certified_in_the_place_of_the_first(run: Path) -> None:
    """A copy with other numbers, which the record knows."""
    other = run / "results/mini/table-final.csv"
    other.write_text((run / TABLE).read_text(encoding="utf-8").replace(".", ".9"), encoding="utf-8")
    content = json.loads((run / CRATE).read_text(encoding="utf-8"))
    content["@graph"].append({"@id": other.name, "name": f"results/mini/{other.name}", "sha256": sha256(other)})
    (run / CRATE).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"is of a table\.csv"):
        trace(table=other, row=None, column=None, verify=True, share=0.001)


def test_a_handed_tokenizer_cannot_hold_up_the_verification(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A chat template is a program; all that describes it was made anew by whoever wrote it."""
    from deepscaler.miniature.tokenizer import build_tokenizer
    from deepscaler.models import try_tokenizer

    folder = run / "work/mini/models/mini-base"
    build_tokenizer("").save_pretrained(folder)
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    (folder / "chat_template.jinja").write_text(loops)
    monkeypatch.setattr(try_tokenizer, "SECONDS", 5)
    with pytest.raises(JobError):
        verify(run, share=0.001, row="mini-base", column="average")
    assert "does not come to an end" in capsys.readouterr().out


def test_what_a_share_proves_is_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verify(run, share=0.01)
    said = capsys.readouterr().out
    assert "Verified" in said
    assert "128 of 12,800" in said or " of " in said
    assert "drawn with the seed" in said
    assert "nobody has signed" in said
    assert sha256(run / CRATE) in said


def crate_of(run: Path, **change: Any) -> None:
    content = json.loads((run / CRATE).read_text(encoding="utf-8"))
    (run / CRATE).write_text(json.dumps(content | change), encoding="utf-8")


def chain(length: int) -> list[dict[str, Any]]:
    names = [f"{ADDRESS}work/mini/{number}" for number in range(length)]
    files = [{"@id": name, "sha256": "0" * 64} for name in ["table.csv", *names]]
    jobs = [
        {"@id": f"#job-{number}", "name": "x", "object": {"@id": after["@id"]}, "result": {"@id": before["@id"]}}
        for number, (before, after) in enumerate(pairwise(files))
    ]
    return [*files, *jobs]


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"@graph": ' + "[" * 100_000,
        "[]",
        "{}",
        '{"@graph": [1]}',
        '{"@graph": [{"sha256": "0"}]}',
        '{"@graph": [{"@id": 3, "sha256": "0"}]}',
        '{"@graph": [{"@id": "table.csv", "sha256": 0}]}',
        '{"@graph": [{"@id": "#job-1", "result": "table.csv"}]}',
        '{"@graph": [{"@id": "../../../etc/passwd", "sha256": "0"}]}',
        json.dumps({"@graph": [{"@id": f"{ADDRESS}/etc/passwd", "sha256": "0"}]}),
        json.dumps({"@graph": chain(2000)}),
        "\ud800".encode("utf-8", "surrogatepass"),
    ],
)
def test_a_malformed_record_is_one_line(run: Path, content: str | bytes) -> None:
    (run / CRATE).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as refused:
        verify(run)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (SCORES, "[" * 100_000),
        ("results/mini/settings.yaml", "[" * 200_000),
        ("results/mini/tokens.csv", 'system\n"' + "x" * 200_000),
        (GRADES, "PAR1"),
        ("work/mini/checkpoints/8k-1/checkpoint.json", '{"files": {"../../../../../../etc/passwd": "0"}}'),
        ("work/mini/checkpoints/8k-1/checkpoint.json", '{"files": 3}'),
    ],
)
def test_malformed_files_are_lines_too(run: Path, name: str, content: str) -> None:
    (run / name).write_text(content, encoding="utf-8")
    record_anew(run)
    with pytest.raises(DeepscalerError) as refused:
        verify(run, share=0.001)
    assert "\n" not in str(refused.value)


def test_a_pipe_in_the_place_of_a_file_does_not_wait(run: Path) -> None:
    import os

    path = run / "work/mini/checkpoints/8k-1/model.safetensors"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DeepscalerError):
        verify(run, share=0.001)


def test_a_record_writes_no_commands_to_the_terminal(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = (run / CRATE).read_text(encoding="utf-8")
    (run / CRATE).write_text(
        content.replace('"train_segment"', '"train\\u001b]0;owned\\u0007\\u202e"'), encoding="utf-8"
    )
    trace(table=run / TABLE, row=None, column=None, verify=False)
    said = capsys.readouterr().out
    assert "train\\x1b]0;owned\\x07\\u202e" in said
    assert not {"\x1b", "\x07", "\u202e"} & set(said)
