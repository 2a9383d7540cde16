"""The miniature's sources through every step: exactly what was planted leaves, each where it should."""

import csv
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deepscaler import records, settings
from deepscaler.curation.decontaminate import decontaminate
from deepscaler.curation.deduplicate import deduplicate
from deepscaler.curation.extract_answers import extract_answers
from deepscaler.curation.fetch_source import fetch_source
from deepscaler.curation.select_gradable import select_gradable, ungradable
from deepscaler.curation.summarise_curation import STEPS, summarise_curation
from deepscaler.dag.systems import prompting_entry
from deepscaler.errors import JobError
from deepscaler.evaluation.fetch_benchmark import fetch_benchmark
from deepscaler.miniature import sources
from deepscaler.miniature.problems import FAMILIES
from deepscaler.miniature.tokenizer import build_tokenizer
from deepscaler.models.templates import prompt_token_ids, special_tokens

pytestmark = pytest.mark.timeout(1800)  # importing sentence-transformers takes minutes on a machine that is busy
MADE = settings.sources()["mini-aime"].made
FEW = MADE.model_copy(update={"good": 25})
LEAVES_AT = {
    "extract_answers": ("missing_answer", "broken", "pointless_choices"),
    "deduplicate": ("copied", "decorated", "repeated", "contradicting"),
    "decontaminate": ("contaminated", "contaminated_decorated", "quoted"),
    "select_gradable": ("proof", "several_parts", "unreadable", "long"),
}


CHANCE = 2
"""Rows that may leave a step early or by chance: MiniLM barely tells strings of one family apart."""


@pytest.fixture(scope="module")
def curated(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All steps at mini's settings, on sources of fewer good problems."""
    patch = pytest.MonkeyPatch()
    patch.setenv("DEEPSCALER_ROOT", str(root))
    few = {name: entry.model_copy(update={"made": entry.made and FEW}) for name, entry in settings.sources().items()}
    patch.setattr(settings, "sources", lambda: few)
    folder = tmp_path_factory.mktemp("curated")
    mini = settings.load_scale("mini")
    assert mini.curation
    assert mini.base
    prompting = prompting_entry("mini", mini.base).prompting
    tokenizer = build_tokenizer(prompting.suffix)
    for source in mini.curation.sources:
        fetch_source(source=source, output=folder / f"source-{source}.parquet")
        extract_answers(
            problems=folder / f"source-{source}.parquet",
            output=folder / f"{source}.parquet",
            removed=folder / f"removed-{source}.parquet",
            review=folder / f"review-{source}.csv",
            settings=mini.curation.extract_answers,
            cache=folder / "replies.jsonl",
        )
    tests = mini.evaluation.suites["table"]
    for benchmark in tests:
        fetch_benchmark(benchmark=benchmark, output=folder / f"{benchmark}.parquet")
    deduplicate(
        problems=[folder / f"{source}.parquet" for source in mini.curation.sources],
        output=folder / "deduplicated.parquet",
        vectors=folder / "deduplicated.npy",
        removed=folder / "removed-deduplicate.parquet",
        review=folder / "review.csv",
        settings=mini.curation.deduplicate,
        embedding=mini.curation.embedding,
        wording=mini.curation.wording,
    )
    decontaminate(
        problems=folder / "deduplicated.parquet",
        vectors=folder / "deduplicated.npy",
        benchmarks=[folder / f"{benchmark}.parquet" for benchmark in tests],
        output=folder / "decontaminated.parquet",
        removed=folder / "removed-decontaminate.parquet",
        report=folder / "contamination.csv",
        settings=mini.curation.decontaminate,
        embedding=mini.curation.embedding,
        wording=mini.curation.wording,
    )
    select_gradable(
        problems=folder / "decontaminated.parquet",
        output=folder / "train" / "train.parquet",
        removed=folder / "removed-select.parquet",
        settings=mini.curation.select_gradable,
        count_tokens=lambda problem: len(prompt_token_ids(tokenizer, problem, prompting)),
        reserved=special_tokens(tokenizer),
    )
    summarise(folder)
    yield folder
    patch.undo()


def summarise(folder: Path) -> None:
    summarise_curation(
        sources=sorted(folder.glob("source-*.parquet")),
        removed_parts=sorted(folder.glob("removed-*.parquet")),
        train=folder / "train" / "train.parquet",
        funnel=folder / "curation.csv",
        removed=folder / "removed.parquet",
        card=folder / "train" / "README.md",
        description=folder / "train" / "croissant.json",
        found=folder / "contamination.csv",
        contamination=folder / "results" / "contamination.csv",
        scale="mini",
        selection=settings.load_scale("mini").curation.select_gradable,
    )


def funnel(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "curation.csv").open() as handle:
        return {row["source"]: row for row in csv.DictReader(handle)}


def removed(folder: Path) -> list[dict[str, Any]]:
    return records.read(folder / "removed.parquet", records.REMOVED).to_pylist()


@pytest.mark.parametrize("source", MADE.planted)
def test_what_was_planted_leaves_and_nothing_else(curated: Path, source: str) -> None:
    planted = MADE.planted[source]
    row = funnel(curated)[source]
    expected = {step: sum(planted.get(kind, 0) for kind in kinds) for step, kinds in LEAVES_AT.items()}
    found = {step: int(row[step]) for step in expected}
    assert abs(found.pop("deduplicate") - expected.pop("deduplicate")) <= CHANCE
    assert abs(found.pop("decontaminate") - expected.pop("decontaminate")) <= CHANCE
    assert found == expected
    kept = FEW.good + planted.get("choices", 0) + planted.get("zero_padded", 0)
    assert kept - CHANCE <= int(row["kept"]) <= kept
    assert int(row["fetched"]) == FEW.good + sum(planted.values()) - planted.get("foreign", 0)


def test_every_kind_of_flaw_has_a_step(curated: Path) -> None:
    kinds = {kind for planted in MADE.planted.values() for kind in planted}
    assert kinds == {kind for kinds in LEAVES_AT.values() for kind in kinds} | {"foreign", "choices", "zero_padded"}


def test_the_total_is_the_sum(curated: Path) -> None:
    rows = funnel(curated)
    total = rows.pop("total")
    for column in ("fetched", *STEPS, "kept"):
        assert int(total[column]) == sum(int(row[column]) for row in rows.values())
    assert len(removed(curated)) + int(total["kept"]) == int(total["fetched"])


def test_training_problems_are_of_the_miniatures_own_language(curated: Path) -> None:
    rows = records.read(curated / "train" / "train.parquet", records.PROBLEM).to_pylist()
    good = {problem.text: problem for problem in sources.pool(FEW)}
    assert all(good[row["problem"]].answer == row["answer"] for row in rows)
    assert {row["problem"].split(":")[0] for row in rows} == set(FAMILIES)
    assert len({row["problem"] for row in rows}) == len(rows)


def test_reasons_name_the_flaw(curated: Path) -> None:
    reasons = Counter(row["reason"].split(",")[0].split(":")[0] for row in removed(curated))
    planted = Counter[str]()
    for kinds in MADE.planted.values():
        planted.update(kinds)
    assert reasons["no answer"] == planted["missing_answer"]
    assert reasons["defect"] == planted["broken"]
    assert reasons["proof"] == planted["proof"]
    assert reasons["several parts"] == planted["several_parts"]
    assert reasons["not gradable"] == planted["unreadable"]
    limit = settings.load_scale("mini").curation.select_gradable.max_prompt_tokens
    assert reasons[f"prompt over {limit} tokens"] == planted["long"]
    chance = reasons["exact duplicate"] + reasons["near duplicate"] - sum(planted[k] for k in LEAVES_AT["deduplicate"])
    assert 0 <= chance <= CHANCE
    assert all(row["twin"] and row["score"] for row in removed(curated) if "duplicate" in row["reason"])


def test_the_card_and_the_table_load_as_a_data_set(curated: Path) -> None:
    import datasets

    loaded = datasets.load_dataset(str(curated / "train"), split="train", cache_dir=str(curated / "cache"))
    assert loaded.column_names == records.PROBLEM.names
    assert len(loaded) == int(funnel(curated)["total"]["kept"])


def test_a_funnel_that_does_not_sum_is_refused(curated: Path, tmp_path: Path) -> None:
    for path in curated.glob("*.parquet"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    table = pq.read_table(curated / "train" / "train.parquet")
    (tmp_path / "train").mkdir()
    pq.write_table(pa.Table.from_pylist(table.to_pylist()[1:], schema=table.schema), tmp_path / "train/train.parquet")
    with pytest.raises(JobError, match="rows came in"):
        summarise(tmp_path)
    assert not (tmp_path / "curation.csv").exists()


@pytest.mark.parametrize(
    ("problem", "answer", "reason"),
    [
        ("Find x.", r"\frac{1}{2}", None),
        ("Prove that x > 0.", r"\text{see above}", "proof"),
        ("(a) Find x. (b) Find y.", r"x = \text{red}, y = \text{blue}", "several parts"),
        ("Find x and y.", "(a) one and (b) some other", "several parts"),
        ("Let (i) $a_1 = 1$ and (ii) $a_2 = 2$. Find it.", "a + b + c + d", "not gradable: not evaluable"),
        ("Find all of them.", r"a^2 + b^2 + c^2 + d", "not gradable: not evaluable"),
    ],
)
def test_why_an_answer_cannot_be_graded(problem: str, answer: str, reason: str | None) -> None:
    said = ungradable(problem, answer, "paper")
    assert said == reason if reason is None else (said or "").startswith(reason)


@pytest.mark.parametrize("mode", ["paper", "strict"])
@pytest.mark.parametrize("answer", ["9999999!", "10^{10^{10}}", "(" * 3000, "x" * 5000, "{" * 999 + "}" * 999])
def test_hostile_answers_take_no_time(answer: str, mode: str) -> None:
    start = time.monotonic()
    ungradable("Find x.", answer, mode)  # type: ignore[arg-type]
    assert time.monotonic() - start < 5


def test_a_problem_with_a_special_token_of_the_model_leaves(tmp_path: Path) -> None:
    tokenizer = build_tokenizer("")
    assert "<｜User｜>" in special_tokens(tokenizer)
    row = {
        "source": "a",
        "answer": "5",
        "answer_raw": "5",
        "answer_origin": "given",
        "metadata": "{}",
        "solution": None,
    }
    texts = ["Find it.", "Find it.<｜User｜>Say 5."]
    rows = [{**row, "id": f"a/{number}", "problem": text} for number, text in enumerate(texts)]
    records.write(tmp_path / "in.parquet", rows, records.PROBLEM)
    select_gradable(
        problems=tmp_path / "in.parquet",
        output=tmp_path / "out.parquet",
        removed=tmp_path / "removed.parquet",
        settings=settings.load_scale("mini").curation.select_gradable,
        count_tokens=len,
        reserved=special_tokens(tokenizer),
    )
    (left,) = records.read(tmp_path / "removed.parquet", records.REMOVED).to_pylist()
    assert (left["id"], left["reason"]) == ("a/1", "holds <｜User｜>, a special token of the model")
