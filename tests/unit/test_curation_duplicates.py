"""Duplicates and contamination, with real MiniLM embeddings, and the search for similar vectors."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import own_settings
import pytest
from deepscaler import records
from deepscaler.curation import similar
from deepscaler.curation.decontaminate import Overlap, compare, decontaminate, runs, shared_runs
from deepscaler.curation.decontaminate import alike as decontaminate_alike
from deepscaler.curation.deduplicate import (
    EXACT,
    NEAR,
    REWORDED,
    SIMILAR,
    Twin,
    agreeing,
    alike,
    candidates,
    deduplicate,
    exact_twins,
    final_twin,
    near_matches,
    near_twins,
)
from deepscaler.curation.embed import Embedder, batches, read_vectors, write_vectors
from deepscaler.curation.similar import Pairs, earlier_pairs, similar_pairs
from deepscaler.errors import UserError

pytestmark = pytest.mark.timeout(1800)  # importing sentence-transformers takes minutes on a machine that is busy

PROBLEMS = [
    ("a", "Find the number of ordered pairs (x, y) of positive integers with 2x + 3y = 100.", "16"),
    ("a", "A circle of radius 5 is inscribed in a right triangle with hypotenuse 26. Find its perimeter.", "62"),
    ("a", "How many four-digit numbers have strictly increasing digits?", "126"),
    (
        "b",
        "Find the number of ordered pairs $(x,y)$ of positive integers with $2x+3y=100$",
        "17",
    ),  # exact, other answer
    ("b", "Determine the number of ordered pairs (x, y) of positive integers such that 2x + 3y = 100.", "16"),  # near
    ("b", "A bag holds 3 red and 4 blue marbles. Two are drawn. What is the chance that both are red?", r"\frac17"),
    (
        "b",
        "A bag holds 5 red and 9 blue marbles. Two are drawn. What is the chance that both are red?",
        r"\frac{10}{91}",
    ),
]


def problem(number: int, source: str, text: str, answer: str) -> dict[str, Any]:
    return {
        "id": f"{source}/{number}",
        "source": source,
        "problem": text,
        "solution": None,
        "answer": answer,
        "answer_raw": answer,
        "answer_origin": "given",
        "metadata": "{}",
    }


def run_deduplicate(folder: Path, **changes: Any) -> tuple[list[str], list[dict[str, Any]], list[dict[str, str]]]:
    """Ids that stay, removed rows, review rows."""
    for source in ("a", "b"):
        rows = [problem(number, *entry) for number, entry in enumerate(PROBLEMS) if entry[0] == source]
        records.write(folder / f"{source}.parquet", rows, records.PROBLEM)
    judge = changes.pop("judge", None)
    deduplicate(
        problems=[folder / "a.parquet", folder / "b.parquet"],
        output=folder / "out.parquet",
        vectors=folder / "out.npy",
        removed=folder / "removed.parquet",
        review=folder / "review.csv",
        settings=own_settings.changed(own_settings.CURATION.deduplicate, **changes),
        embedding=own_settings.CURATION.embedding,
        wording=own_settings.CURATION.wording,
        judge=judge,
    )
    stay = records.read(folder / "out.parquet", records.PROBLEM).column("id").to_pylist()
    assert len(read_vectors(folder / "out.npy", len(stay))) == len(stay)
    removed = records.read(folder / "removed.parquet", records.REMOVED).to_pylist()
    with (folder / "review.csv").open() as handle:
        return stay, removed, list(csv.DictReader(handle))


def test_exact_and_near_duplicates_leave_with_twin_and_score(tmp_path: Path) -> None:
    stay, removed, review = run_deduplicate(tmp_path, same_numbers=True)
    assert stay == ["a/0", "a/1", "a/2", "b/5", "b/6"], "problems that differ in their numbers stay"
    assert [(row["id"], row["reason"], row["twin"]) for row in removed] == [("b/3", EXACT, "a/0"), ("b/4", NEAR, "a/0")]
    assert removed[0]["score"] == 1.0
    assert 0.9 <= removed[1]["score"] < 1.0
    differing = [row for row in review if row["kind"] == "answers of duplicates differ"]
    assert [(row["id"], row["answer"], row["other_answer"]) for row in differing] == [("b/3", "17", "16")]


def test_siblings_of_one_source_stay_unless_their_answers_agree(tmp_path: Path) -> None:
    stay, _, _ = run_deduplicate(tmp_path)
    assert stay == ["a/0", "a/1", "a/2", "b/5", "b/6"]


def test_within_a_source_equal_answers_by_chance_are_no_duplicates() -> None:
    asked = ["How many primes lie between 20 and 30?", "How many primes lie between 30 and 40?"]
    asked.append("Between 20 and 30 there are how many primes?")
    rows = [problem(number, "a", text, "2") for number, text in enumerate(asked)]
    pairs = candidates(rows, np.ones((3, 1), dtype=np.float32), own_settings.CURATION.deduplicate)
    assert list(zip(pairs.rows, pairs.columns, strict=True)) == [(2, 0)]


def test_similarity_alone_takes_siblings_for_duplicates(tmp_path: Path) -> None:
    stay, removed, _ = run_deduplicate(tmp_path, within_source="always")
    assert "b/6" not in stay
    assert ("b/6", "b/5") in [(row["id"], row["twin"]) for row in removed]


def test_within_a_source_only_exact_duplicates_if_so_set(tmp_path: Path) -> None:
    stay, _, _ = run_deduplicate(tmp_path, within_source="never")
    assert "b/6" in stay


def test_a_judge_decides_near_the_threshold(tmp_path: Path) -> None:
    asked = []

    def judge(pairs: list[tuple[str, str]]) -> list[bool | None]:
        asked.extend(pairs)
        return ["marbles" not in first for first, _ in pairs]

    stay, removed, _ = run_deduplicate(tmp_path, margin=0.1, judge=judge, within_source="always")
    assert any("marbles" in first for first, _ in asked)
    assert "b/6" in stay
    assert "b/4" in [row["id"] for row in removed]


def test_of_a_chain_only_the_middle_leaves() -> None:
    assert near_twins([(1, Twin(0, 0.95, NEAR)), (2, Twin(1, 0.93, NEAR))]) == {1: Twin(0, 0.95, NEAR)}


def test_a_twin_is_always_one_that_stays() -> None:
    twins = {1: Twin(0, 0.95, NEAR), 2: Twin(1, 1.0, EXACT)}
    assert final_twin(twins[2], twins) == Twin(0, 0.95, NEAR)


SQUARES = r"Find the area of the square whose diagonal has length $\sqrt{g}$, where $g=18$ and $h$ is its perimeter."
STAIRS = "Ben climbs 14 stairs, one or two at a time; in how many ways can he do so if he rests after the seventh one?"
REWORDED_PAIRS = {
    "renamed": (SQUARES, SQUARES.replace("g", "w").replace("lenwth", "length").replace("$h$", "$k$")),
    "in another form": (STAIRS, STAIRS.replace("in how many ways", "find the remainder when the number of ways")),
    "names": (STAIRS, STAIRS.replace("Ben", "Priya").replace("he", "she").replace("tshe", "the")),
    "preamble": (
        STAIRS,
        f"(Olympiad 2017, Round 3, Problem 4) Read this carefully. {STAIRS} Explain each of your steps.",
    ),
    "figure": (f"{STAIRS} [asy] {'draw((1,2)--(3,4)); ' * 60} [/asy]", STAIRS),
}


@pytest.mark.parametrize("kind", REWORDED_PAIRS)
@pytest.mark.parametrize("same", [True, False])
def test_a_copy_in_other_words_leaves_if_its_answer_is_the_same(kind: str, same: bool) -> None:
    """Whatever the embeddings say: here, that nothing is alike."""
    texts = REWORDED_PAIRS[kind]
    rows = [problem(number, "ab"[number], text, "9" if same else str(number)) for number, text in enumerate(texts)]
    settings, wording = own_settings.CURATION.deduplicate, own_settings.CURATION.wording
    worded = alike(rows, settings, wording)
    nothing = Pairs(*(np.zeros(0, dtype=np.int64),) * 3)
    found = near_twins(agreeing(rows, nothing, worded, settings, {}))
    assert list(found) == ([1] if same else [])
    assert all(twin.reason == REWORDED for twin in found.values())


def test_similar_problems_with_one_answer_leave_below_the_threshold() -> None:
    asked = ("Find the area as m/n in lowest terms. Find $m+n$.", "Find the area.", "Find the perimeter.")
    answers = ("11", r"\frac{3}{8}", "4")
    rows = [problem(number, "abc"[number], text, answers[number]) for number, text in enumerate(asked)]
    pairs = Pairs(np.array([1, 2]), np.array([0, 0]), np.array([0.86, 0.86]))
    nothing = Pairs(*(np.zeros(0, dtype=np.int64),) * 3)
    found = agreeing(rows, pairs, nothing, own_settings.CURATION.deduplicate, {})
    assert found == [(1, Twin(0, 0.86, SIMILAR))]
    assert agreeing(rows, pairs, nothing, own_settings.CURATION.deduplicate, {0: False}) == [], "the judge has said no"


def test_problems_without_any_word_are_compared_as_they_are() -> None:
    rows = [{"problem": text} for text in ("?", "!", "...", "?")]
    assert exact_twins(rows) == {3: Twin(0, 1.0, EXACT)}


def run_decontaminate(folder: Path, **changes: Any) -> tuple[list[str], list[dict[str, Any]], list[dict[str, str]]]:
    train = [problem(number, *entry) for number, entry in enumerate(PROBLEMS)]
    records.write(folder / "in.parquet", train, records.PROBLEM)
    write_vectors(folder / "in.npy", Embedder(own_settings.CURATION.embedding).embed([row["problem"] for row in train]))
    texts = [
        "FIND THE NUMBER OF ORDERED PAIRS (X,Y) OF POSITIVE INTEGERS WITH 2X+3Y=100",
        "A circle of radius 5 is inscribed in a right triangle with hypotenuse 26. Find its perimeter. Then double it.",
        "How many 4-digit numbers have digits that strictly increase?",
        "A bag holds 4 red and 7 blue marbles. Two are drawn. What is the chance that both are red?",
    ]
    answers = [["16", "2"], ["124"], ["126"], [r"\frac{6}{55}"]]
    tests = [
        {"id": f"t/{n:04d}", "benchmark": "t", "problem": text, "answers": answers[n], "metadata": "{}"}
        for n, text in enumerate(texts)
    ]
    records.write(folder / "t.parquet", tests, records.BENCHMARK_PROBLEM)
    decontaminate(
        problems=folder / "in.parquet",
        vectors=folder / "in.npy",
        benchmarks=[folder / "t.parquet"],
        output=folder / "out.parquet",
        removed=folder / "removed.parquet",
        report=folder / "report.csv",
        settings=own_settings.changed(own_settings.CURATION.decontaminate, **changes),
        embedding=own_settings.CURATION.embedding,
        wording=own_settings.CURATION.wording,
    )
    stay = records.read(folder / "out.parquet", records.PROBLEM).column("id").to_pylist()
    removed = records.read(folder / "removed.parquet", records.REMOVED).to_pylist()
    with (folder / "report.csv").open() as handle:
        return stay, removed, list(csv.DictReader(handle))


def test_contamination_is_found_by_text_by_runs_and_by_embedding(tmp_path: Path) -> None:
    stay, removed, report = run_decontaminate(tmp_path)
    reasons = {row["id"]: (row["twin"], row["reason"]) for row in removed}
    assert reasons["a/0"][0] == "t/0000"
    assert reasons["a/0"][1].startswith("in t, found by exact text and 10-grams")
    assert reasons["a/1"][0] == "t/0001"
    assert "10-grams" in reasons["a/1"][1]
    assert reasons["a/1"][1].endswith("other answer"), "the same numbers, and another last step"
    assert reasons["a/2"] == ("t/0002", "in t, found by embedding and wording")
    assert stay == ["b/5", "b/6"]
    assert {row["decision"] for row in report[: len(removed)]} == {"removed"}
    siblings = {(row["id"], row["benchmark_id"]) for row in report if row["decision"] == "sibling"}
    assert siblings == {("b/5", "t/0003"), ("b/6", "t/0003")}
    assert report[0]["benchmark_answers"] == "16 | 2"
    assert next(row["same_answer"] for row in report if row["id"] == "a/0") == "yes"
    assert report[0]["problem"]
    assert report[0]["benchmark_problem"]


def test_the_report_does_not_depend_on_the_last_digits_of_similarities(tmp_path: Path) -> None:
    """As threads that add in another order give them: equal texts, similarities that differ in the seventh digit."""
    texts = [
        "How many marbles are in the bag of seven red and four blue ones?",
        *(f"What is {n} + 1?" for n in range(3)),
    ]
    rows = [problem(number, "a", text, "11") for number, text in enumerate(texts[:1] * 6 + texts[1:])]
    tests = [
        {"id": f"t/{n:04d}", "benchmark": "t", "problem": texts[0], "answers": ["11"], "metadata": "{}"}
        for n in range(2)
    ]
    records.write(tmp_path / "in.parquet", rows, records.PROBLEM)
    records.write(tmp_path / "t.parquet", tests, records.BENCHMARK_PROBLEM)
    vectors = Embedder(own_settings.CURATION.embedding).embed([row["problem"] for row in rows])
    written = []
    for seed in range(3):
        noise = 1 + 2e-6 * np.random.default_rng(seed).standard_normal((len(rows), 1), dtype=np.float32)
        write_vectors(tmp_path / "in.npy", vectors * noise)
        decontaminate(
            problems=tmp_path / "in.parquet",
            vectors=tmp_path / "in.npy",
            benchmarks=[tmp_path / "t.parquet"],
            output=tmp_path / "out.parquet",
            removed=tmp_path / "removed.parquet",
            report=tmp_path / "report.csv",
            settings=own_settings.CURATION.decontaminate,
            embedding=own_settings.CURATION.embedding,
            wording=own_settings.CURATION.wording,
        )
        written.append((tmp_path / "report.csv").read_bytes())
    assert written[0].count(b"removed") == 12
    assert written[1:] == written[:1] * 2


WHALE = (
    "A whale of a story: let $a$ be the radius of a sphere that holds a box of surface area $54$ and of volume $23$; "
    "the value of its square can be written as a fraction in lowest terms, $a^2 = p/q$. What is then $p+q$?"
)


@pytest.mark.parametrize(
    ("text", "answer", "ways"),
    [
        (WHALE.replace("$a$", "$s$").replace("$a^2", "$s^2").replace("p", "g").replace("q", "h"), "721", ["wording"]),
        (WHALE.replace("radius", "raduis").replace("holds", "hodls"), "12345", ["wording"]),  # a false answer
        (WHALE.partition(": ")[2], "721", ["wording"]),
        (WHALE.replace("54", "66").replace("23", "36"), "5", []),
    ],
    ids=["renamed", "typos and a false answer", "late start", "sibling"],
)
def test_contamination_in_other_words(text: str, answer: str, ways: list[str]) -> None:
    settings = own_settings.CURATION
    overlap = Overlap()
    ((_, overlap.wording),) = decontaminate_alike([text], [WHALE], settings.decontaminate, settings.wording)
    ours, theirs = {"problem": text, "answer": answer}, {"problem": WHALE, "answers": ["721"]}
    compare([ours], [theirs], {(0, 0): overlap}, settings.decontaminate)
    assert overlap.found_by(settings.decontaminate) == ways


def test_siblings_of_a_benchmarks_problem_leave_if_so_set(tmp_path: Path) -> None:
    stay, removed, _ = run_decontaminate(tmp_path, siblings="remove")
    assert stay == []
    siblings = {row["id"]: row["reason"] for row in removed if row["id"] in ("b/5", "b/6")}
    assert sorted(siblings) == ["b/5", "b/6"]
    assert [reason.endswith("; other answer") for reason in siblings.values()] == [True, True]


def test_the_code_of_figures_is_not_compared() -> None:
    figure = "[asy] " + " ".join(f"draw(({n},0)--(0,{n}));" for n in range(30)) + " [/asy]"
    asked = "In the figure shown here, what is the sum of all the lengths that are drawn as solid lines?"
    other = "The picture below was drawn by a child of three years; how many triangles of any size does it hold?"
    assert list(shared_runs([f"{asked} {figure}"], [f"{other} {figure}"], 10, 0.25)) == []
    assert list(shared_runs([f"{asked} {figure}"], [asked], 10, 0.25)) == [((0, 0), 1.0)]


def test_vectors_of_another_table_are_refused(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.npy", np.zeros((3, 4), dtype=np.float32))
    with pytest.raises(UserError, match="for 5 problems"):
        read_vectors(tmp_path / "v.npy", 5)
    (tmp_path / "v.npy").write_bytes(b"not numpy")
    with pytest.raises(UserError, match="not a whole file"):
        read_vectors(tmp_path / "v.npy", 5)


def test_runs_of_words() -> None:
    text = "Find the sum of all the digits of $2^{10}$, written in base seven."
    assert len(runs(text, 10)) == 14 - 10 + 1
    assert runs("too short", 10) == set()
    ((pair, share),) = shared_runs([f"Well: {text} Now."], [text], 10, 0.5)
    assert (pair, share) == ((0, 0), 1.0)


@pytest.mark.parametrize("size", [0, 1, 7, 300])
def test_the_search_finds_what_comparing_all_finds(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar, "BLOCK", 64)
    monkeypatch.setattr(similar, "TILE", 50)
    random = np.random.default_rng(size)
    vectors = random.normal(size=(size, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = random.integers(0, 3, size)
    for used in (None, keys):
        found = earlier_pairs(vectors, 0.6, size, used)
        everything = vectors @ vectors.T
        expected = {
            (i, j)
            for i in range(size)
            for j in range(i)
            if everything[i, j] >= 0.6 and (used is None or used[i] == used[j])
        }
        assert set(zip(found.rows.tolist(), found.columns.tolist(), strict=True)) == expected
        assert all(np.diff(found.rows) >= 0)
    found = similar_pairs(vectors, vectors[: size // 2], 0.6, size)
    assert len(found.rows) == int((everything[:, : size // 2] >= 0.6).sum())


def test_a_crowd_of_equals_stays_within_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar, "BLOCK", 64)
    monkeypatch.setattr(similar, "TILE", 100)
    vectors = np.ones((500, 4), dtype=np.float32) / 2
    pairs = earlier_pairs(vectors, 0.9, 64)
    assert np.bincount(pairs.rows).max() == 64
    matches = near_matches(pairs, own_settings.CURATION.deduplicate, {})
    assert set(near_twins(matches).values()) == {Twin(0, 1.0, NEAR)}


def test_batches_hold_every_text_once_within_their_budget() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(1, 257, 500)]
    found = batches(lengths, 1024)
    assert sorted(number for batch in found for number in batch) == list(range(500))
    assert all(len(batch) * max(lengths[number] for number in batch) <= 1024 for batch in found)


def test_embeddings_are_those_of_sentence_transformers() -> None:
    embedder = Embedder(own_settings.CURATION.embedding)
    texts = [entry[1] for entry in PROBLEMS] + ["", "x " * 1000]
    ours = embedder.embed(texts)
    theirs = embedder.model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    assert np.abs(ours - theirs).max() < 1e-5
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_weights_that_are_not_the_pinned_ones_are_refused() -> None:
    with pytest.raises(UserError, match="weights have SHA-256"):
        Embedder(own_settings.changed(own_settings.CURATION.embedding, weights_sha256="0" * 64))
