"""Scores and tables of systems whose right answers are known by construction."""

import csv
import json

import pytest
from deepscaler import dag, records, settings
from deepscaler.errors import UserError
from deepscaler.evaluation import score, tabulate
from deepscaler.evaluation.table_rows import AVERAGE, PAPER_COLUMNS, table_columns, table_rows

SUITE = {"aime-2024": 30, "math-500": 500, "amc-2023": 83, "minerva-math": 272, "olympiad-bench": 675}
RIGHT = {"aime-2024": 207, "math-500": 7028, "amc-2023": 978, "minerva-math": 1316, "olympiad-bench": 5405}
"""Right answers of 16 a problem that print as the paper's row of DeepScaleR-1.5B-Preview."""
METADATA = {
    "model": {"sha256": "0" * 64, "repository": "acme/tiny", "revision": "a" * 40},
    "protocol": {"context": 34816, "temperature": 0.6, "top_p": 0.95, "seed": 42},
    "versions": {"vllm": "0.29.0"},
}


def grades(system, suite=SUITE, right=RIGHT, strict_extra=0):
    """Graded samples with `right[benchmark]` right answers, spread evenly; `strict` finds `strict_extra` more."""
    for benchmark, problems in suite.items():
        total = problems * 16
        for number in range(total):
            spread = number * 7919 % total  # every number once, in an order that mixes problems
            correct, strict = spread < right[benchmark], spread < right[benchmark] + strict_extra
            yield {
                **{"system": system, "benchmark": benchmark, "problem_id": f"{benchmark}/{number // 16:04d}"},
                **{"sample": number % 16, "answer": "1" if correct else None, "well_formed": correct},
                **{"paper": correct, "paper_reason": "", "strict": strict, "strict_reason": ""},
                **{"tokens": 100 if correct else 300, "finish_reason": "stop" if correct else "length"},
            }


def scored(folder, scale, system, **given):
    path, output = folder / f"{system}.parquet", folder / f"{system}-table.json"
    metadata = {key: json.dumps(value) for key, value in METADATA.items()}
    records.write(path, grades(system, **given), records.GRADE, metadata)
    score.score(scale=scale, system=system, suite="table", grades=path, output=output)
    return json.loads(output.read_text())


def test_scores_of_the_papers_counts_print_as_the_papers_row(tmp_path):
    found = scored(tmp_path, "released", "deepscaler-1.5b-preview")
    printed = [f"{found['benchmarks'][name]['pass_at_1']:.1f}" for name in SUITE]
    assert [*printed, f"{found['average']['pass_at_1']:.1f}"] == ["43.1", "87.8", "73.6", "30.2", "50.0", "57.0"]
    aime = found["benchmarks"]["aime-2024"]
    assert (aime["correct"], aime["total"], aime["pass_at_1"]) == (207, 480, 43.125)
    assert aime["tokens"] == {"correct": 100, "incorrect": 300, "all": pytest.approx(213.8)}
    assert aime["truncated"] == aime["missing_answer"] == aime["malformed"] == pytest.approx(100 * 273 / 480)
    assert aime["pass_at_k"]["1"] == pytest.approx(43.125)
    assert sum(aime["per_problem"]["correct"]) == 207
    assert (aime["marked"], aime["unmarked"]) == ({}, None)
    total = aime["standard_error_within"] ** 2 + aime["standard_error_between"] ** 2
    assert aime["standard_error"] ** 2 == pytest.approx(total, rel=1e-4)
    assert found["provenance"]["model"]["repository"] == "acme/tiny"


def test_what_is_marked_is_counted_apart_and_still_counted(tmp_path):
    found = scored(tmp_path, "released", "deepscaler-1.5b-preview")["benchmarks"]["minerva-math"]
    marked = settings.benchmarks()["minerva-math"].flags["answer_of_another_part"]
    right = [count for i, count in enumerate(found["per_problem"]["correct"]) if i not in marked]
    assert found["problems"] == 272
    assert found["marked"] == {"answer_of_another_part": len(marked)}
    assert found["unmarked"]["problems"] == len(right) == 272 - len(marked)
    assert found["unmarked"]["pass_at_1"] == pytest.approx(100 * sum(right) / 16 / len(right))


def test_a_system_without_right_answers_has_no_length_of_them(tmp_path):
    found = scored(tmp_path, "released", "still-1.5b", right=dict.fromkeys(SUITE, 0))
    aime = found["benchmarks"]["aime-2024"]
    assert (aime["pass_at_1"], aime["majority"]) == (0, 0)
    assert aime["tokens"]["correct"] is None


def test_a_suite_whose_grades_lack_a_benchmark_is_refused(tmp_path):
    part = {"aime-2024": 30}
    with pytest.raises(UserError, match="no grades of math-500"):
        scored(tmp_path, "released", "still-1.5b", suite=part)
    with pytest.raises(UserError, match="has no suite 'tabel'"):
        score.score(
            scale="released",
            system="still-1.5b",
            suite="tabel",
            grades=tmp_path / "still-1.5b.parquet",
            output=tmp_path / "x.json",
        )


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The tables of `released`: DeepScaleR as in the paper, the others with fewer right answers."""
    folder = tmp_path_factory.mktemp("tables")
    for index, system in enumerate(reversed(dag.evaluated("released"))):
        right = {name: int(count * (1 - 0.1 * index)) for name, count in RIGHT.items()}
        scored(folder, "released", system, right=right, strict_extra=12)
    tabulate_all(folder, "released", dag.evaluated("released"))
    return folder


def tabulate_all(folder, scale, systems):
    tabulate.tabulate(
        scale=scale,
        scores=[folder / f"{name}-table.json" for name in systems],
        grades=[folder / f"{name}.parquet" for name in systems],
        curve_scores=[folder / f"{name}-table.json" for name in systems],
        table=folder / "table.csv",
        markdown=folder / "table.md",
        tokens=folder / "tokens.csv",
        agreement=folder / "agreement.csv",
        comparisons=folder / "comparisons.csv",
        curve=folder / "curve.csv",
    )


def read(path):
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_table_csv_keeps_its_contract(tables):
    rows = read(tables / "table.csv")
    assert list(rows[0])[:7] == ["model", *PAPER_COLUMNS, AVERAGE]
    assert [row["system"] for row in rows] == settings.load_scale("released").evaluation.systems
    assert not any(value in ("", None, "nan", "None") for row in rows for value in row.values())
    by_name = {row["system"]: row for row in rows}
    ours = by_name["deepscaler-1.5b-preview"]
    assert (ours["aime_2024"], ours["average"]) == ("43.1250", "56.9810")
    assert (ours["samples"], ours["samples_per_problem"], ours["grader"]) == ("24960", "16", "paper")
    assert float(ours["aime_2024_standard_error"]) > 0
    assert (ours["aime_2024_paper"], ours["average_paper"]) == ("43.1", "57.0")


def test_reported_rows_have_the_numbers_of_others_and_no_errors(tables):
    rows = {row["system"]: row for row in read(tables / "table.csv")}
    reported = rows["rstar-math-7b"]
    assert (reported["aime_2024"], reported["minerva_math"], reported["average"]) == ("26.7000", "-", "-")
    assert reported["aime_2024_standard_error"] == reported["samples"] == reported["revision"] == "-"
    assert (reported["aime_2024_paper"], reported["minerva_math_paper"]) == ("-", "-")
    assert reported["grader"].startswith("the paper's table")


def test_markdown_is_the_papers_table_with_its_marks(tables):
    lines = (tables / "table.md").read_text().splitlines()
    assert lines[2] == "| Model | AIME 2024 | MATH-500 | AMC 2023 | Minerva Math | OlympiadBench | Avg. |"
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines[4:12]}
    assert list(cells)[1] == "rStar-Math-7B †"
    assert cells["rStar-Math-7B †"] == ["26.7", "78.4", "47.5", "-", "47.1", "-"]
    assert cells["DeepScaleR-1.5B-Preview"][0] == "**<u>43.1</u>** (43.1)"
    assert cells["DeepScaleR-1.5B-Preview"][5] == "**<u>57.0</u>** (57.0)"
    assert cells["DeepSeek-R1-Distill-Qwen-1.5B"][0].endswith(" (28.8)")
    assert "**" not in cells["DeepSeek-R1-Distill-Qwen-1.5B"][0]
    assert sum("**" in cell for row in cells.values() for cell in row[:1]) == 1
    without = lines.index("## Pass@1 without the problems that are marked")
    assert lines[without + 2] == "| Model | MATH-500 | Minerva Math |"
    assert any(line.startswith("MATH-500: 6 of 500 contaminated; Minerva Math: 33 of 272") for line in lines[without:])


def section(lines, title):
    """The tables below a heading of table.md: row → cells, one table after the other."""
    start = lines.index(title)
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("#")), len(lines))
    found = []
    for line in lines[start:end]:
        if line.startswith("| Model"):
            found.append({})
        elif line.startswith("| ") and "---" not in line:
            found[-1][line.split("|")[1].strip()] = [cell.strip() for cell in line.split("|")[2:-1]]
    return found


def test_beside_the_papers_numbers_stands_the_error_within_problems(tables):
    scores = json.loads((tables / "deepscaler-1.5b-preview-table.json").read_text())
    entries = [*(scores["benchmarks"][name] for name in SUITE), scores["average"]]
    by_column = {entry.get("column", AVERAGE): entry for entry in entries}
    lines = (tables / "table.md").read_text().splitlines()
    within, total = section(lines, "## Standard errors, in percentage points")
    (differences,) = section(lines, "## Ours minus the paper's, in percentage points")
    for index, column in enumerate((*PAPER_COLUMNS, AVERAGE)):
        entry = by_column[column]
        assert within["DeepScaleR-1.5B-Preview"][index] == f"{entry['standard_error_within']:.1f}"
        assert total["DeepScaleR-1.5B-Preview"][index] == f"{entry['standard_error']:.1f}"
        paper = settings.systems()["deepscaler-1.5b-preview"].paper[column]
        expected = f"{entry['pass_at_1'] - paper:+.1f} ± {entry['standard_error_within']:.1f}"
        assert differences["DeepScaleR-1.5B-Preview"][index] == expected


def test_tokens_and_agreement_and_comparisons(tables):
    tokens = read(tables / "tokens.csv")
    assert len(tokens) == 6 * 5
    base = next(row for row in tokens if row["system"] == "deepseek-r1-distill-qwen-1.5b")
    assert (base["tokens_correct"], base["tokens_incorrect"], base["tokens_all_change"]) == ("100.0", "300.0", "-")
    agreement = read(tables / "agreement.csv")
    assert {row["only_strict"] for row in agreement} == {"12"}
    assert {row["only_paper"] for row in agreement} == {"0"}
    aime = next(row for row in agreement if row["benchmark"] == "aime_2024")
    assert float(aime["strict_minus_paper"]) == pytest.approx(100 * 12 / 480, abs=1e-4)
    comparisons = read(tables / "comparisons.csv")
    assert {row["against"] for row in comparisons} == {"deepseek-r1-distill-qwen-1.5b"}
    ours = [row for row in comparisons if row["system"] == "deepscaler-1.5b-preview"]
    assert [row["benchmark"] for row in ours] == [*PAPER_COLUMNS, AVERAGE]
    assert all(float(row["low"]) <= float(row["difference"]) <= float(row["high"]) for row in ours)
    assert float(ours[-1]["difference"]) > 0
    assert float(ours[-1]["p_bootstrap"]) < 0.01


def test_the_average_is_over_all_benchmarks_of_the_suite(tmp_path, monkeypatch):
    released = settings.load_scale("released")
    systems = ["rstar-math-7b", "deepseek-r1-distill-qwen-1.5b", "deepscaler-1.5b-preview"]
    suites = {"table": [*SUITE, "aime-2025"]}
    six = released.evaluation.model_copy(update={"suites": suites, "systems": systems})
    monkeypatch.setattr(settings, "load_scale", lambda _: released.model_copy(update={"evaluation": six}))
    right = {**RIGHT, "aime-2025": 120}
    sampled = systems[1:]
    found = [scored(tmp_path, "released", name, suite={**SUITE, "aime-2025": 30}, right=right) for name in sampled]
    tabulate_all(tmp_path, "released", sampled)
    reported, *ours = read(tmp_path / "table.csv")
    assert list(ours[0])[:8] == ["model", *PAPER_COLUMNS, AVERAGE, "aime_2025"]
    assert "average_paper" not in ours[0]
    assert reported["average"] == "-"
    for row, scores in zip(ours, found, strict=True):
        mean = sum(float(row[column]) for column in (*PAPER_COLUMNS, "aime_2025")) / 6
        assert float(row["average"]) == pytest.approx(mean, abs=1e-4)
        assert scores["average"]["pass_at_1"] == pytest.approx(mean, abs=1e-4)
        assert float(row["average_standard_error"]) == pytest.approx(scores["average"]["standard_error"], abs=1e-4)
    assert (tmp_path / "table.md").read_text().splitlines()[2].endswith("| Avg. of 6 |")
    of_average = next(row for row in read(tmp_path / "comparisons.csv") if row["benchmark"] == AVERAGE)
    assert of_average["problems"] == str(sum(SUITE.values()) + 30)


def test_a_system_without_scores_is_an_error_not_an_empty_row(tables):
    with pytest.raises(UserError, match=r"no scores of qwen2\.5-math-7b-instruct"):
        table_rows("released", [tables / "still-1.5b-table.json"])


def test_mini_compares_each_stage_with_the_one_before():
    assert table_columns("mini") == list(PAPER_COLUMNS)
    assert [settings.systems()[name].kind for name in settings.load_scale("mini").evaluation.systems] == [
        "distilled",
        *["trained"] * 3,
    ]


@pytest.mark.parametrize("system", ["qwen2.5-math-7b-instruct", "deepscaler-1.5b-preview", "still-1.5b"])
def test_the_papers_rows_in_the_settings_average_as_the_paper_says(system):
    """Within what rounding to one digit can hide: five halves of a tenth, averaged, and the average's own."""
    paper = settings.systems()[system].paper
    assert sum(paper[column] for column in PAPER_COLUMNS) / 5 == pytest.approx(paper["average"], abs=0.1)
