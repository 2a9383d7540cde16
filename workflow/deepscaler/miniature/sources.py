"""The miniature's five training sources, in the file formats and columns of the real ones, with planted flaws.

`made` of config/sources.yaml says how much: of each source so many good problems of the training distribution, all
different from each other and from the benchmarks', and of each kind of flaw so many rows. Curation must remove exactly
those: a test counts them. The sources are the same whatever the scale's seed, so that runs compare.
"""

import csv
import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from deepscaler.miniature.problems import (
    BENCHMARK_MIXES,
    BENCHMARK_SEED,
    LETTERS,
    ChainProblem,
    draw_benchmark,
    draw_training,
)
from deepscaler.settings.curation import Made

SPARE = 5
"""Unused problems for each flawed row: some kinds of flaw take two, or only problems of some families."""
BENCHMARK_SIZE = 100
"""Problems of each benchmark that no source may hold by chance."""
TESTED = 20
"""Problems of each benchmark that may be planted in a source; no benchmark is smaller."""

Item = dict[str, Any]


def write_source(source: str, folder: Path, made: Made) -> None:
    """Write a source's repository into `folder`, as its real counterpart's would lie there."""
    folder.mkdir(parents=True, exist_ok=True)
    WRITERS[source](folder, rows_of(source, made))


def rows_of(source: str, made: Made) -> list[Item]:
    """A source's rows in neutral form, shuffled: problem, answer, solution, and the kind (`good` or a flaw)."""
    random_state = random.Random(f"{source}/{made.seed}")
    makers = Makers(source, made, random_state)
    rows = [makers.good(problem) for problem in makers.own]
    for kind, count in made.planted[source].items():
        rows += [{"kind": kind, **getattr(makers, kind)(index)} for index in range(count)]
    random_state.shuffle(rows)
    return rows


def pool(made: Made) -> list[ChainProblem]:
    """Problems of the training distribution: the good ones source by source, the rest for flaws.

    No two have the same digits, nor those of a benchmark's problem: in another family they would be near duplicates.
    """
    random_state = random.Random(f"sources/{made.seed}")
    taken = {problem.digits for problem in benchmark_pool()}
    found: dict[tuple[int, ...], ChainProblem] = {}
    flawed = sum(sum(kinds.values()) for kinds in made.planted.values())
    while len(found) < made.good * len(made.planted) + SPARE * flawed:
        problem = draw_training(random_state)
        if problem.digits not in taken:
            found.setdefault(problem.digits, problem)
    return list(found.values())


@cache
def benchmark_pool(size: int = BENCHMARK_SIZE) -> list[ChainProblem]:
    return [p for name in BENCHMARK_MIXES for p in draw_benchmark(name, size, BENCHMARK_SEED)]


class Makers:
    """One method a kind of row; each takes the index within its kind."""

    def __init__(self, source: str, made: Made, random_state: random.Random) -> None:
        sources, good = list(made.planted), made.good
        rank = sources.index(source)
        problems = pool(made)
        self.own = problems[rank * good : (rank + 1) * good]
        self.better = problems[: rank * good] or self.own
        self.random = random_state
        spare = problems[len(sources) * good :]
        before = sum(SPARE * sum(made.planted[name].values()) for name in sources[:rank])
        self.spare = iter(spare[before : before + SPARE * sum(made.planted[source].values())])
        self.copies = iter(random_state.sample(self.better, min(40, len(self.better))))
        self.tested = iter(random_state.sample([p for p in benchmark_pool(TESTED) if len(p.digits) >= 9], 20))

    def good(self, problem: ChainProblem) -> Item:
        return {"kind": "good", **row(problem.text, problem.answer)}

    def copied(self, index: int) -> Item:
        """A better source's problem, typeset differently."""
        problem = next(self.copies)
        looks: tuple[Callable[[str], str], ...] = (str.upper, "${}$".format, "  {} .".format, "\\textbf{{{}}}?".format)
        return row(looks[index % len(looks)](problem.text), problem.answer)

    def repeated(self, index: int) -> Item:
        """A problem of this very source, once more."""
        return row(self.own[index].text, self.own[index].answer)

    def contradicting(self, index: int) -> Item:
        """A better source's problem with another answer."""
        return row(next(self.copies).text, "wrong" if index % 2 else "11")

    def decorated(self, index: int) -> Item:
        """A better source's problem with a stray sign: other text, same meaning."""
        problem = next(self.copies)
        return row(f"{problem.text} |", problem.answer)

    def contaminated(self, index: int) -> Item:
        problem = next(self.tested)
        return row(problem.text, problem.answer)

    def contaminated_decorated(self, index: int) -> Item:
        problem = next(self.tested)
        return row(f"{problem.text} |", problem.answer)

    def quoted(self, index: int) -> Item:
        """A benchmark's problem within other words."""
        problem = next(self.tested)
        return row(f"Last year's final asked for {problem.text}, which few solved. Solve it.", problem.answer)

    def zero_padded(self, index: int) -> Item:
        """An answer as AIME prints it."""
        problem = next(p for p in self.spare if p.family in ("add", "dbl"))
        return row(problem.text, f"{problem.value:03d}")

    def choices(self, index: int) -> Item:
        """A problem with answer choices, the letter or letter and value in the box."""
        problem = next(self.spare)
        listed, letter = self.choices_of(problem)
        box = letter if index % 2 else rf"\textbf{{({letter})}}\ {problem.answer}"
        return row(f"{problem.text}\n{listed}", None, rf"By the rule of its family. $\boxed{{{box}}}$")

    def pointless_choices(self, index: int) -> Item:
        """A question that is none without its choices."""
        problem = next(self.spare)
        listed, letter = self.choices_of(problem)
        return row(f"Which of the following is {problem.text}?\n{listed}", None, rf"$\boxed{{{letter}}}$")

    def choices_of(self, problem: ChainProblem) -> tuple[str, str]:
        """Five choices with the right one among them, and its letter."""
        others = [ChainProblem(problem.family, (digit, 0, problem.digits[-1])).answer for digit in range(10)]
        wrong = self.random.sample([answer for answer in others if answer != problem.answer], 4)
        position = self.random.randrange(5)
        values = [*wrong[:position], problem.answer, *wrong[position:]]
        listed = r" \qquad ".join(rf"\textbf{{({key})}}\ {value}" for key, value in zip("ABCDE", values, strict=True))
        return f"${listed}$", "ABCDE"[position]

    def missing_answer(self, index: int) -> Item:
        return row(next(self.spare).text, None, "The chain is followed term by term, and the result is clear.")

    def proof(self, index: int) -> Item:
        text = next(self.spare).text
        return row(f"Prove that {text} is defined.", "By induction on the terms, since every digit has a successor.")

    def several_parts(self, index: int) -> Item:
        first, second = next(self.spare), next(self.spare)
        return row(f"(a) {first.text} (b) {second.text}", f"(a) {first.answer} and (b) {second.answer}, as was asked")

    def unreadable(self, index: int) -> Item:
        """An answer that the reward cannot decide: too many letters, words, or a composite exponent."""
        return row(next(self.spare).text, ("p + q + r + s", r"\text{unknown}", "2^{(k)}")[index % 3])

    def long(self, index: int) -> Item:
        """More terms than the shortest context takes."""
        digits = [self.random.randint(0, 9) for _ in range(45)]
        text = "add:" + "".join(f"{LETTERS[i % len(LETTERS)]}{digit}" for i, digit in enumerate(digits))
        return row(text, str(sum(digits) % 10))

    def broken(self, index: int) -> Item:
        """A row that is none: without a problem, of the wrong type, and (see `write_omni_math`) of broken bytes."""
        problem: Any = ("", 7, next(self.spare).text)[index % 3]
        return row(problem, "7")

    def foreign(self, index: int) -> Item:
        return row(next(self.spare).text, "7")


def row(problem: str, answer: str | None, solution: str | None = None) -> Item:
    boxed = rf"Going through the terms gives $\boxed{{{answer}}}$."
    return {"problem": problem, "answer": answer, "solution": solution or boxed}


def write_aime(folder: Path, rows: list[Item]) -> None:
    """JSON, as DeepScaleR's own collection: answers given, official solutions beside them."""
    table = [
        {"problem": item["problem"], "solution": item["solution"], "answer": item["answer"]}
        | {"year": 1984 + number % 40, "aime_number": 1, "problem_number": number % 15 + 1}
        for number, item in enumerate(rows)
    ]
    (folder / "aime.json").write_text(json.dumps(table, indent=1), encoding="utf-8")


def write_amc(folder: Path, rows: list[Item]) -> None:
    """Parquet, as NuminaMath-CoT: no answers, several sources in one file, chat messages beside the text."""
    table = [
        {"source": "cn_k12" if item["kind"] == "foreign" else "amc_aime"}
        | {"problem": item["problem"], "solution": item["solution"]}
        | {"messages": [{"role": "user", "content": item["problem"]}]}
        for item in rows
    ]
    write_parquet(folder / "data" / "train-00000-of-00001.parquet", table)


def write_omni_math(folder: Path, rows: list[Item]) -> None:
    """JSON lines, as Omni-MATH; a broken row that has a problem has bytes that are no UTF-8."""
    with (folder / "test.jsonl").open("wb") as handle:
        for item in rows:
            line = {"domain": ["Mathematics -> Chains"], "difficulty": 4.5, "problem": item["problem"]}
            line |= {"solution": item["solution"], "answer": item["answer"], "source": "HMMT_2"}
            text = json.dumps(line, ensure_ascii=False).encode()
            if item["kind"] == "broken" and isinstance(item["problem"], str):
                text = text.replace(b"Going through", b"Going \xff\xfe through")
            handle.write(text + b"\n")


def write_still(folder: Path, rows: list[Item]) -> None:
    """Parquet, as STILL-3's: a question and its answer, no solution."""
    table = [{"question": item["problem"], "answer": item["answer"]} for item in rows]
    write_parquet(folder / "data" / "train-00000-of-00001.parquet", table)


def write_math(folder: Path, rows: list[Item]) -> None:
    """CSV, as copies of MATH: the answer only in the solution's box."""
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as handle:
        table = csv.DictWriter(handle, ("problem", "level", "type", "solution"))
        table.writeheader()
        for item in rows:
            table.writerow(
                {"problem": item["problem"], "level": "Level 5", "type": "Algebra", "solution": item["solution"]}
            )


def write_parquet(path: Path, rows: list[Item]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


WRITERS: dict[str, Callable[[Path, list[Item]], None]] = {
    "mini-aime": write_aime,
    "mini-amc": write_amc,
    "mini-omni-math": write_omni_math,
    "mini-still": write_still,
    "mini-math": write_math,
}
