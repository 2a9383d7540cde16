"""Benchmarks: the real ones by pin from a local mirror, the miniature's, and what is refused."""

import json
import re

import own_settings
import pytest
from deepscaler import dag, hub, records, settings
from deepscaler.dag import digests
from deepscaler.dag.systems import prompting_entry
from deepscaler.errors import UserError
from deepscaler.evaluation import fetch_benchmark, grade_samples
from deepscaler.evaluation.requests import read_problems
from deepscaler.reward.grade import grade_pair
from deepscaler.reward.response import boxed_answer
from deepscaler.settings.base import validate
from deepscaler.settings.benchmarks import Benchmark

PAPER = {"aime-2024": 30, "math-500": 500, "amc-2023": 83, "minerva-math": 272, "olympiad-bench": 675}


def entry(folder, **given):
    values = {"title": "T", "column": "t", "kind": "hub", "size": 2, "files": {"test.jsonl": None}}
    values |= {"fields": {"problem": "problem", "answers": "answer"}}
    return validate(Benchmark, {**values, "repository": f"file://{folder}", **given}, "here")


def fetch(monkeypatch, tmp_path, rows, **given):
    """Fetch a set of these rows; what comes out."""
    folder = tmp_path / "repository"
    folder.mkdir(exist_ok=True)
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(settings, "benchmarks", lambda: {"set": entry(folder, size=len(rows), **given)})
    fetch_benchmark.fetch_benchmark(benchmark="set", output=tmp_path / "set.parquet")
    return read_problems([tmp_path / "set.parquet"])


@pytest.fixture
def mirror(shared, tmp_path, monkeypatch):
    """The real test sets, laid out as a clone of the paper's repository."""
    data = tmp_path / "hub/github/agentica-project/deepscaler/deepscaler/data"
    data.mkdir(parents=True)
    (data / "test").symlink_to(shared / "data" / "benchmarks")
    monkeypatch.setattr(settings, "site", lambda: own_settings.site(hub=str(tmp_path / "hub")))
    return tmp_path


@pytest.mark.parametrize(("benchmark", "size"), PAPER.items())
def test_the_papers_sets_load_with_their_sizes_and_digests(mirror, benchmark, size):
    output = mirror / f"{benchmark}.parquet"
    fetch_benchmark.fetch_benchmark(benchmark=benchmark, output=output)
    problems = read_problems([output])
    assert len(problems) == size
    assert problems[-1]["id"] == f"{benchmark}/{size - 1:04d}"
    assert all(answer.strip() for row in problems for answer in row["answers"])
    assert records.metadata(output)["verified"] == "sha256"
    if benchmark == "minerva-math":
        assert {len(row["answers"]) for row in problems} == {1, 2, 3}
    if benchmark == "amc-2023":
        assert problems[0]["answers"] == ["142.0"]


def test_the_papers_golds_are_right_by_both_graders(mirror, monkeypatch, tmp_path):
    """Each gold as a response to its own problem, through the very path that samples take."""
    paths = [mirror / f"{benchmark}.parquet" for benchmark in PAPER]
    for benchmark, path in zip(PAPER, paths, strict=True):
        fetch_benchmark.fetch_benchmark(benchmark=benchmark, output=path)
    problems = read_problems(paths)
    system = "deepseek-r1-distill-qwen-1.5b"
    protocol = grade_samples.protocol_of("released", system)
    monkeypatch.setattr(grade_samples, "protocol_of", lambda *_: vars_replaced(protocol, samples=1))
    rows = [completion(system, row, f"So it is.</think>\n\\boxed{{{row['answers'][0]}}}") for row in problems]
    records.write(tmp_path / "samples.parquet", rows, records.COMPLETION)
    grade_samples.grade_samples(
        scale="released",
        system=system,
        samples=[tmp_path / "samples.parquet"],
        benchmarks=paths,
        output=tmp_path / "grades.parquet",
        threads=2,
    )
    grades = records.read(tmp_path / "grades.parquet", records.GRADE).to_pylist()
    wrong = [(row["problem_id"], row["answer"], row["paper"], row["strict"]) for row in grades]
    assert [row for row in wrong if not (row[2] and row[3])] == []
    assert len(grades) == sum(PAPER.values())


def test_the_marks_of_minerva_are_what_its_own_text_says(mirror):
    """Answers that an earlier part's solution, printed in the problem, ends with, and the problem's own does not."""
    fetch_benchmark.fetch_benchmark(benchmark="minerva-math", output=mirror / "m.parquet")
    found = []
    for index, row in enumerate(read_problems([mirror / "m.parquet"])):
        parts = re.findall(r"The final answer is (.*?)\. I hope it is correct", row["problem"], re.DOTALL)
        own = boxed_answer(json.loads(row["metadata"])["solution"], "strict")
        is_own = own is not None and grade_pair(row["answers"], own, "strict").correct
        if not is_own and any(grade_pair(row["answers"], part, "strict").correct for part in parts):
            found.append(index)
    marked = settings.benchmarks()["minerva-math"].flags["answer_of_another_part"]
    assert (
        sorted([*found, 152]) == marked
    )  # 152: the text says 4.4677 Hz, the file 4.4677 × 10^14; wave number asked for


def test_the_marks_of_math_500_are_problems_of_aime(mirror, shared):
    """Word for word in what the paper trained on."""
    fetch_benchmark.fetch_benchmark(benchmark="math-500", output=mirror / "m.parquet")
    trained_on = {letters(row["problem"]) for row in hub.read_rows(shared / "data/sources/aime.json")}
    problems = enumerate(read_problems([mirror / "m.parquet"]))
    found = [index for index, row in problems if letters(row["problem"]) in trained_on]
    assert found == settings.benchmarks()["math-500"].flags["contaminated"]


def letters(text):
    return re.sub(r"\W+", "", text).lower()


def vars_replaced(value, **changes):
    return type(value)(**{**vars(value), **changes})


def completion(system, row, response):
    return {
        **{"system": system, "benchmark": row["benchmark"], "problem_id": row["id"], "sample": 0, "seed": 1},
        **{"response": response, "tokens": 9, "prompt_tokens": 9, "finish_reason": "stop"},
    }


def test_changed_bytes_are_refused_and_kept_nowhere_near_the_output(mirror, shared):
    test = mirror / "hub/github/agentica-project/deepscaler/deepscaler/data/test"
    test.unlink()
    test.mkdir()
    text = (shared / "data/benchmarks/aime.json").read_text()
    (test / "aime.json").write_text(text.replace("204", "205", 1))
    output = mirror / "aime-2024.parquet"
    with pytest.raises(UserError, match=r"does not match its pin: deepscaler/data/test/aime\.json has SHA-256"):
        fetch_benchmark.fetch_benchmark(benchmark="aime-2024", output=output)
    assert not output.exists()
    assert (mirror / ".aime-2024.parquet.fetched.refused/deepscaler/data/test/aime.json").exists()


def test_synthetic_sets_do_not_depend_on_the_scales_seed(tmp_path):
    names = settings.load_scale("mini").evaluation.suites["table"]
    for name in names:
        fetch_benchmark.fetch_benchmark(benchmark=name, output=tmp_path / f"{name}.parquet")
    problems = read_problems([tmp_path / f"{name}.parquet" for name in names])
    assert len({row["problem"] for row in problems}) == len(problems) == 200
    styles = {row["answers"][0][0] for row in problems}
    assert {"\\", "(", "0"} <= styles


def test_answers_are_kept_as_the_source_has_them(monkeypatch, tmp_path):
    rows = [
        {"problem": "a", "answer": ["9.6\n", "9.60"]},
        {"problem": "b", "answer": 142.0, "level": 3},
        {"problem": "c", "answer": "( 3 ,4]"},
    ]
    problems = fetch(monkeypatch, tmp_path, rows)
    assert [row["answers"] for row in problems] == [["9.6\n", "9.60"], ["142.0"], ["( 3 ,4]"]]
    assert json.loads(problems[1]["metadata"]) == {"level": 3}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"problem": "b", "answer": " "}, r"an answer that is empty or no text.*\[set, row 1\]"),
        ({"problem": "b", "answer": []}, "an answer that is empty"),
        ({"problem": "b", "answer": ["1", None]}, "an answer that is empty"),
        ({"problem": "See <image>.", "answer": "1"}, r"the problem holds <image>, which engines .*\[set, row 1\]"),
        ({"problem": "", "answer": "1"}, r"an empty problem \[set, row 1\]"),
        ({"question": "b", "answer": "1"}, "no column 'problem'.*columns: question, answer; see `fields`"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(monkeypatch, tmp_path, row, message):
    with pytest.raises(UserError, match=message):
        fetch(monkeypatch, tmp_path, [{"problem": "a", "answer": "1"}, row])


def test_a_mark_changes_the_scores_and_never_the_problems(monkeypatch, tmp_path):
    """Samples depend on the table of problems: to mark one must not have them drawn again."""
    suite = settings.load_scale("released").evaluation.suites["table"]
    plain = {name: entry(tmp_path, size=7) for name in suite}
    marked = {**plain, suite[1]: entry(tmp_path, size=7, flags={"wrong": [3]})}
    monkeypatch.setattr(digests, "benchmarks", lambda: plain)

    def decided() -> list[dict[str, object]]:
        rules = {"fetch_benchmark": {"benchmark": suite[1]}, "score": {"suite": "table"}}
        return [dag.deciding(rule, "released", **wildcards) for rule, wildcards in rules.items()]

    before = decided()
    monkeypatch.setattr(digests, "benchmarks", lambda: marked)
    after = decided()
    assert after[0] == before[0]
    assert after[1] != before[1]
    monkeypatch.setattr(digests, "benchmarks", lambda: {**plain, suite[1]: entry(tmp_path, size=8)})
    assert decided()[0] != before[0]


def test_other_columns_and_sizes(monkeypatch, tmp_path):
    rows = [{"question": "a", "final": ["1"]}]
    problems = fetch(monkeypatch, tmp_path, rows, fields={"problem": "question", "answers": "final"})
    assert problems[0]["problem"] == "a"
    monkeypatch.setattr(settings, "benchmarks", lambda: {"set": entry(tmp_path / "repository", size=7)})
    with pytest.raises(UserError, match="set has 1 problems, expected 7"):
        fetch_benchmark.fetch_benchmark(benchmark="set", output=tmp_path / "set.parquet")


def test_an_unknown_benchmark_gets_its_nearest_name(tmp_path):
    with pytest.raises(UserError, match=r"unknown benchmark 'aime-20244'.*did you mean 'aime-2024'"):
        fetch_benchmark.fetch_benchmark(benchmark="aime-20244", output=tmp_path / "x.parquet")


def test_every_suite_of_the_paper_has_the_papers_sets():
    for scale in ("paper", "released"):
        suite = settings.load_scale(scale).evaluation.suites["table"]
        assert {name: settings.benchmarks()[name].size for name in suite} == PAPER


def test_stages_are_prompted_as_their_base_is():
    assert prompting_entry("paper", "deepscaler-24k") == settings.systems()["deepseek-r1-distill-qwen-1.5b"]
    assert prompting_entry("mini", "8k-1") == settings.systems()["mini-base"]
