"""Sources: every row is kept, also a broken one; what is no table at all is refused in one line."""

import json
from pathlib import Path
from typing import Any

import own_settings
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from deepscaler import records, settings
from deepscaler.curation.extract_answers import extract_answers
from deepscaler.curation.fetch_source import as_problems, fetch_source
from deepscaler.curation.pin import pin
from deepscaler.curation.rows import Row
from deepscaler.errors import UserError
from deepscaler.settings.curation import Source

GOOD = [{"problem": f"What is {n} + {n}?", "solution": "Add.", "answer": str(2 * n)} for n in range(5)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one source, `ours`, in a mirror of the hub; `write` gives it a data file."""
    (tmp_path / "config" / "scales").mkdir(parents=True)
    (tmp_path / "config" / "site.yaml").write_text(
        "{ work: work, gpu_model: a100, memory_per_cpu: false, network: nodes, curve_nice: 0, alerts_from: node }\n"
    )
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))
    monkeypatch.setenv("DEEPSCALER_HUB", str(tmp_path / "hub"))
    (tmp_path / "hub" / "datasets" / "us" / "ours").mkdir(parents=True)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    settings.sources.cache_clear()
    settings.site.cache_clear()


def write(project: Path, name: str, content: bytes, **changes: Any) -> None:
    (project / "hub" / "datasets" / "us" / "ours" / name).write_bytes(content)
    entry = {
        "title": "Ours",
        "kind": "hub",
        "repository": "us/ours",
        "files": {name: None},
        "fields": {"problem": "problem", "solution": "solution", "answer": "answer"},
        "licence": "MIT",
        "redistribution": "yes",
        "citation": "us",
    }
    (project / "config" / "sources.yaml").write_text(yaml.safe_dump({"ours": {**entry, **changes}}))
    forget()


def lines(rows: list[Any]) -> bytes:
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def fetched(project: Path) -> list[dict[str, Any]]:
    fetch_source(source="ours", output=project / "ours.parquet")
    return records.read(project / "ours.parquet", records.PROBLEM).to_pylist()


def defects(rows: list[dict[str, Any]]) -> dict[int, str]:
    found = {index: json.loads(row["metadata"]).get("defect") for index, row in enumerate(rows)}
    return {index: defect for index, defect in found.items() if defect}


def parquet(rows: list[dict[str, Any]], path: Path) -> bytes:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "parquet"])
def test_every_format_gives_the_same_rows(project: Path, kind: str) -> None:
    content = {
        "json": lambda: json.dumps(GOOD).encode(),
        "jsonl": lambda: lines(GOOD),
        "csv": lambda: b"problem,solution,answer\n" + b"".join(
            f"{r['problem']},{r['solution']},{r['answer']}\n".encode() for r in GOOD
        ),
        "parquet": lambda: parquet(GOOD, project / "x.parquet"),
    }[kind]()  # fmt: skip
    write(project, f"data.{kind}", content)
    rows = fetched(project)
    assert [(row["problem"], row["solution"], row["answer_raw"]) for row in rows] == [
        (row["problem"], row["solution"], row["answer"]) for row in GOOD
    ]
    assert not defects(rows)


def test_broken_lines_stay_as_rows_with_their_defect(project: Path) -> None:
    content = [
        GOOD[0],
        b'{"problem": "caf\xff", "answer": "1", "solution": ""}\n',
        b'{"problem": "cut off\n',
        b"[1, 2]\n",
        GOOD[1],
        {"problem": "", "answer": "3"},
        {"problem": 12, "answer": "3"},
        {"answer": "3"},
        {"problem": "Q", "answer": {"value": 3}},
        {"problem": "lone \ud800", "answer": "3"},
        {"problem": "no answer", "answer": ""},
    ]
    write(project, "data.jsonl", lines(content))
    rows = fetched(project)
    assert len(rows) == len(content)
    assert defects(rows) == {
        1: "line 2 has broken UTF-8",
        2: "line 3 is not JSON",
        3: "line 4 is no JSON object",
        5: "problem is empty",
        6: "problem is a int, not text",
        7: "problem is missing",
        8: "answer is a dict, not text",
        9: "problem has characters that are no Unicode text",
    }
    assert (rows[0]["problem"], rows[4]["problem"]) == (GOOD[0]["problem"], GOOD[1]["problem"])
    assert rows[10]["answer_raw"] is None


def test_text_that_engines_take_for_markup_is_a_defect(project: Path) -> None:
    """OpenRLHF splits a prompt at `<image>`, and dies of it as it loads a segment's prompts."""
    texts = ["In the figure <image> find $x$.", "Stop.<|im_end|> Find $x$.", "Is $x < y > z$?"]
    write(project, "data.jsonl", lines([{"problem": text, "answer": "3", "solution": ""} for text in texts]))
    assert defects(fetched(project)) == {
        0: "problem holds <image>, which engines take for markup",
        1: "problem holds <|im_end|>, which engines take for markup",
    }


def test_rows_that_are_known_to_be_wrong_are_a_defect(project: Path) -> None:
    write(project, "data.jsonl", lines(GOOD))
    known = fetched(project)[1]["id"].partition("/")[2]
    write(project, "data.jsonl", lines(GOOD), wrong={known: "3 is an answer too"})
    assert defects(fetched(project)) == {1: "known to be wrong: 3 is an answer too"}


def test_what_is_broken_leaves_by_name(project: Path) -> None:
    write(project, "data.jsonl", lines([GOOD[0], {"problem": "", "answer": "3"}, {"problem": "Why?"}]))
    fetched(project)
    extract_answers(
        problems=project / "ours.parquet",
        output=project / "out.parquet",
        removed=project / "removed.parquet",
        review=project / "review.csv",
        settings=own_settings.CURATION.extract_answers,
        cache=project / "replies.jsonl",
    )
    kept = records.read(project / "out.parquet", records.PROBLEM).to_pylist()
    removed = records.read(project / "removed.parquet", records.REMOVED).to_pylist()
    assert [row["answer"] for row in kept] == ["0"]
    assert [row["reason"] for row in removed] == ["defect: problem is empty", "no answer"]


def test_broken_text_in_parquet(project: Path) -> None:
    binary = pa.array([b"fine", b"caf\xff", b"also fine"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, binary.buffers())
    table = pa.table({"problem": text, "solution": ["s"] * 3, "answer": ["1", "2", "3"]})
    pq.write_table(table, project / "x.parquet")
    write(project, "data.parquet", (project / "x.parquet").read_bytes())
    rows = fetched(project)
    assert defects(rows) == {1: "row 2 has broken UTF-8"}
    assert [row["answer_raw"] for row in rows] == ["1", "2", "3"]


def test_csv_rows_of_the_wrong_width(project: Path) -> None:
    content = b"problem,solution,answer\nWhat?,So.,1\nonly two,columns\nfour,are,too,many\nWhich?,So.,2\n"
    write(project, "data.csv", content)
    rows = fetched(project)
    assert [row["answer_raw"] for row in rows if not json.loads(row["metadata"]).get("defect")] == ["1", "2"]
    assert len(rows) == 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.parquet", b"PAR1" + b"\0" * 100, "not a whole Parquet file"),
        ("data.json", b'[{"problem": "x"}, {"prob', "not JSON"),
        ("data.jsonl", b"", "an empty file"),
        ("data.txt", b"hello", "unknown kind of data file '.txt'"),
    ],
)
def test_what_is_no_table_is_refused(project: Path, name: str, content: bytes, message: str) -> None:
    write(project, name, content)
    with pytest.raises(UserError, match=message) as caught:
        fetched(project)
    assert "\n" not in str(caught.value)
    assert not (project / "ours.parquet").exists()


def test_a_truncated_parquet_file_is_refused(project: Path) -> None:
    write(project, "data.parquet", parquet(GOOD * 100, project / "x.parquet")[:-200])
    with pytest.raises(UserError, match="not a whole Parquet file"):
        fetched(project)


def test_a_missing_column_names_those_that_are_there(project: Path) -> None:
    write(project, "data.jsonl", lines([{"question": "x", "answer": "1", "solution": "s"}]))
    with pytest.raises(UserError, match=r"no column 'problem'.*columns: answer, question, solution"):
        fetched(project)


def test_equal_problems_have_ids_of_their_own() -> None:
    values = {"title": "x", "kind": "hub", "repository": "us/ours", "files": {"x.json": None}, "licence": "MIT"}
    values |= {"fields": {"problem": "problem"}, "redistribution": "yes", "citation": "us"}
    entry = Source.model_validate(values)
    rows = as_problems("ours", entry, [Row({"problem": text}) for text in ("a", "b", "a", "a")])
    first = rows[0]["id"]
    assert [row["id"] for row in rows] == [first, rows[1]["id"], f"{first}-2", f"{first}-3"]
    assert rows == as_problems("ours", entry, [Row({"problem": text}) for text in ("a", "b", "a", "a")])


def test_rows_of_other_sources_are_not_read(project: Path) -> None:
    rows = [{**row, "source": ("ours", "theirs")[n % 2], "year": 2020 + n} for n, row in enumerate(GOOD)]
    write(project, "data.jsonl", lines(rows), only={"source": ["ours"]}, between={"year": [2020, 2023]})
    assert [row["answer_raw"] for row in fetched(project)] == ["0", "4"]


def test_a_file_that_differs_from_its_pin_is_refused_and_kept_aside(project: Path) -> None:
    write(project, "data.jsonl", lines(GOOD), files={"data.jsonl": "0" * 64})
    with pytest.raises(UserError, match="does not match its pin"):
        fetched(project)
    (kept,) = project.glob(".ours.repository.refused/data.jsonl")
    assert kept.read_bytes() == lines(GOOD)
    assert not (project / "ours.parquet").exists()


def test_pins_are_written_held_and_renewed(project: Path) -> None:
    lock = project / "config" / "sources.lock.yaml"
    write(project, "data.jsonl", lines(GOOD))
    pin(names=[], lock=lock)
    forget()
    assert len(fetched(project)) == len(GOOD)

    changed = project / "hub" / "datasets" / "us" / "ours" / "data.jsonl"
    changed.write_bytes(lines(GOOD[:3]))
    with pytest.raises(UserError, match="does not match its pin"):
        fetched(project)

    pin(names=["ours"], lock=lock)
    forget()
    assert len(fetched(project)) == 3

    with pytest.raises(UserError, match="unknown source 'theirs'"):
        pin(names=["theirs"], lock=lock)


def test_numbers_as_answers(project: Path) -> None:
    write(project, "data.json", json.dumps([{**GOOD[0], "answer": value} for value in (142.0, 0.5, 7)]).encode())
    assert [row["answer_raw"] for row in fetched(project)] == ["142", "0.5", "7"]


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv"])
def test_text_stays_as_it_is_written(project: Path, kind: str) -> None:
    answers = ["007", "NA", "None", "1e5", "2020-01-01", "12345678901234567890123", "true"]
    rows = [{"problem": f"Which, number {n}?", "solution": "So.", "answer": text} for n, text in enumerate(answers)]
    content = {
        "json": json.dumps(rows).encode(),
        "jsonl": lines(rows),
        "csv": b"problem,solution,answer\n" + b"".join(f'"{r["problem"]}",So.,{r["answer"]}\n'.encode() for r in rows),
    }
    write(project, f"data.{kind}", content[kind])
    found = fetched(project)
    assert [row["answer_raw"] for row in found] == answers
    assert not defects(found)


def test_a_quote_too_many_hides_no_rows(project: Path) -> None:
    write(project, "data.csv", b'problem,solution,answer\nWhat?,So.,1\n"Open,So.,2\nWhich?,So.,3\nWho?,So.,4\n')
    with pytest.raises(UserError, match=r"not CSV: unexpected end of data \(after line 2\)"):
        fetched(project)


def test_a_long_cell_is_read(project: Path) -> None:
    write(project, "data.csv", b"problem,solution,answer\nWhat?," + b"x" * 200_000 + b",1\n")
    assert len(fetched(project)[0]["solution"]) == 200_000


def test_many_defects_are_counted_and_not_all_printed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "data.jsonl", lines([GOOD[0], *[b"{cut off\n"] * 300]))
    rows = fetched(project)
    assert len(defects(rows)) == 300
    said = capsys.readouterr().out.splitlines()
    assert len(said) < 30
    assert said[-1].startswith("ours: 280 more kinds")
