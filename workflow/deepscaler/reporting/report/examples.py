"""A few completions for people to read: right ones, wrong ones, and those on which the two graders disagree."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepscaler import dag, records, settings

MAX_CHARACTERS = 2400
"""Of a completion; the middle of a longer one is left out."""
KINDS = ("right", "wrong", "disputed")


@dataclass(frozen=True)
class Example:
    """One completion with its problem and both verdicts. All text is untrusted."""

    kind: str
    system: str
    benchmark: str
    problem: str
    answers: str
    response: str
    grade: dict[str, Any]


def examples(scale: str, work: Path) -> Iterator[Example]:
    """One completion of each kind for each sampled system, drawn with the scale's seed."""
    for system in dag.evaluated(scale):
        path = work / "grades" / system / "table.parquet"
        if not path.is_file():
            continue
        graded = records.read(path, records.GRADE).to_pylist()
        for kind, row in draw_kinds(graded, settings.load_scale(scale).seed):
            if example := read_example(scale, work, system, kind, row):
                yield example


def draw_kinds(graded: list[dict[str, Any]], seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """A random right, wrong and disputed grade, where there is one."""
    generator = random.Random(seed)
    for kind in KINDS:
        if rows := [row for row in graded if kind_of(row) == kind]:
            yield kind, generator.choice(rows)


def kind_of(row: dict[str, Any]) -> str:
    if row["paper"] != row["strict"]:
        return "disputed"
    return "right" if row["paper"] else "wrong"


def read_example(scale: str, work: Path, system: str, kind: str, row: dict[str, Any]) -> Example | None:
    """The completion and the problem that a grade is of."""
    for shard in sorted((work / "samples" / system).glob("table-*.parquet")):
        if found := records.rows_where(shard, records.COMPLETION, problem_id=row["problem_id"], sample=row["sample"]):
            break
    else:
        return None
    tests = work / "benchmarks" / f"{row['benchmark']}.parquet"
    problem = records.rows_where(tests, records.BENCHMARK_PROBLEM, id=row["problem_id"]) if tests.is_file() else []
    text, answers = (problem[0]["problem"], ", ".join(problem[0]["answers"])) if problem else ("", "")
    title, test = settings.systems()[system].title, settings.benchmarks().get(row["benchmark"])
    name = test.title if test else row["benchmark"]
    return Example(kind, title, name, shorten(text), answers, shorten(found[0]["response"]), row)


def shorten(text: str) -> str:
    """At most `MAX_CHARACTERS`, both ends kept."""
    if len(text) <= MAX_CHARACTERS:
        return text
    half = MAX_CHARACTERS // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"
