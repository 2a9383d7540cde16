"""How many known copies curation finds, and what it removes that no one planted: run over real sources and benchmarks.

`data` is a folder with `sources/` and `benchmarks/`: files of JSON or JSON lines, each with the name of an entry of
config/sources.yaml or config/benchmarks.yaml (or the beginning of one) before its first dot or underscore.
"""

import csv
import hashlib
import inspect
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import copies
import numpy as np
from deepscaler import hub, records, settings
from deepscaler.curation import decontaminate, deduplicate, embed, extract_answers, fetch_source, rows
from deepscaler.evaluation import fetch_benchmark

ACROSS, WITHIN, TESTED = "copies", "copies-within", "copies-of-benchmarks"
"""Sources of copies: of other sources' problems, of problems in the same source, of benchmarks' problems."""
LIMIT = 240
"""Characters of a problem that are printed."""

Row = dict[str, Any]


def known_as(path: Path, known: dict[str, Any]) -> str:
    name = path.name.split(".")[0]
    stem = name.split("_num")[0].replace("_", "-")
    fitting = [entry for entry in known if entry == stem or entry.startswith(stem) or stem.startswith(entry)]
    return min(fitting, key=lambda entry: (known[entry].kind == "synthetic", entry.startswith("mini"), len(entry)))


def read_sources(data: Path) -> dict[str, list[Row]]:
    """The problems of each source that has a file there, in the order of the paper's scale, as records.PROBLEM."""
    known = {name: entry for name, entry in settings.sources().items() if entry.kind != "synthetic"}
    found = {known_as(path, known): path for path in sorted((data / "sources").iterdir())}
    curation = settings.load_scale("paper").curation
    assert curation
    return {
        name: fetch_source.as_problems(name, known[name], list(rows.read_rows([found[name]])))
        for name in curation.sources
        if name in found
    }


def read_benchmarks(data: Path) -> list[Row]:
    known = {name: entry for name, entry in settings.benchmarks().items() if entry.kind != "synthetic"}
    names = {"aime": "aime-2024", "amc": "amc-2023", "math": "math-500", "minerva": "minerva-math"}
    found = []
    for path in sorted((data / "benchmarks").iterdir()):
        stem = path.stem.replace("_", "-")
        name = names.get(stem, stem)
        found += list(fetch_benchmark.problems(name, known[name], list(hub.read_rows(path))))
    return found


def problem(number: int, source: str, text: str, answer: str, kind: str, original: str) -> Row:
    return {
        "id": f"{source}/{number:05d}",
        "source": source,
        "problem": text,
        "solution": None,
        "answer": None,
        "answer_raw": answer,
        "answer_origin": None,
        "metadata": json.dumps({"kind": kind, "original": original}),
    }


def plant(data: Path, folder: Path, each: int, seed: int) -> None:
    """Write the sources with copies among them, and the benchmarks, to `folder`, as far as `extract_answers`."""
    curation = settings.load_scale("paper").curation
    assert curation
    sources, tests = read_sources(data), read_benchmarks(data)
    originals = [(row["id"], row["problem"], row["answer_raw"] or "") for some in sources.values() for row in some]
    clean = [one for one in originals if one[1] and one[2]]
    planted = copies.copies(copies.DUPLICATES, clean, 2 * each, seed)
    ours = [(row["id"], row["problem"], row["answers"][0]) for row in tests]
    wanted = copies.copies(copies.CONTAMINATION, ours, each, seed)
    sources[ACROSS] = []
    for number, (kind, original, text, answer) in enumerate(planted):
        source = ACROSS if number % 2 else original.split("/")[0]
        row = problem(number, source, text, answer, kind, original)
        sources[source].append(row if number % 2 else {**row, "id": f"{source}/{WITHIN}-{number:05d}"})
    sources[TESTED] = [
        problem(number, TESTED, *rest, kind, original) for number, (kind, original, *rest) in enumerate(wanted)
    ]
    for rank, (name, some) in enumerate(sources.items()):
        records.write(folder / "in.parquet", some, records.PROBLEM)
        extract_answers.extract_answers(
            problems=folder / "in.parquet",
            output=folder / f"source-{rank}-{name}.parquet",
            removed=folder / "left.parquet",
            review=folder / "left.csv",
            settings=curation.extract_answers,
            cache=folder / "replies.jsonl",
        )
    records.write(folder / "benchmarks.parquet", tests, records.BENCHMARK_PROBLEM)


class Cache:
    """Embeddings by their text's digest, kept in a file from run to run: they take most of the time."""

    def __init__(self, path: Path) -> None:
        self.path, self.seconds = path, 0.0
        self.known: dict[str, Any] = {}
        if path.exists():
            with np.load(path) as kept:
                self.known = dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))

    def embed(self, texts: list[str], chosen: Any, threads: int = 1, mirror: str | None = None) -> Any:
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self.known}
        start = time.process_time()
        if missing:
            self.known |= dict(zip(missing, embed.embed(list(missing.values()), chosen, threads, mirror), strict=True))
            aside = self.path.with_suffix(".aside.npz")
            np.savez(aside, keys=np.array(list(self.known)), vectors=np.stack(list(self.known.values())))
            aside.replace(self.path)
        self.seconds += time.process_time() - start
        return np.stack([self.known[key] for key in keys])


def run(folder: Path, vectors: Path, threads: int) -> None:
    """Both steps over what `plant` wrote, by the code on the path, with their CPU seconds but for embedding."""
    curation = settings.load_scale("paper").curation
    assert curation
    cache = Cache(vectors)
    deduplicate.embed = decontaminate.embed = cache.embed  # type: ignore[assignment]
    start = time.process_time()
    call(
        deduplicate.deduplicate,
        problems=sorted(folder.glob("source-*.parquet"), key=lambda path: int(path.name.split("-")[1])),
        output=folder / "deduplicated.parquet",
        vectors=folder / "deduplicated.npy",
        removed=folder / "duplicates.parquet",
        review=folder / "review.csv",
        settings=curation.deduplicate,
        embedding=curation.embedding,
        wording=getattr(curation, "wording", None),
        threads=threads,
    )
    call(
        decontaminate.decontaminate,
        problems=folder / "deduplicated.parquet",
        vectors=folder / "deduplicated.npy",
        benchmarks=[folder / "benchmarks.parquet"],
        output=folder / "decontaminated.parquet",
        removed=folder / "contaminated.parquet",
        report=folder / "contamination.csv",
        settings=curation.decontaminate,
        embedding=curation.embedding,
        wording=getattr(curation, "wording", None),
        threads=threads,
    )
    (folder / "seconds").write_text(str(time.process_time() - start - cache.seconds), encoding="utf-8")


def call(function: Any, **given: Any) -> None:
    """With those of the arguments that this version of the function has."""
    known = inspect.signature(function).parameters
    function(**{name: value for name, value in given.items() if name in known})


def found_in(folder: Path) -> dict[tuple[str, str], list[bool]]:
    """(where, kind of copy) → of each copy, whether it left."""
    gone: dict[str, str] = {}
    for name, step in (("duplicates", "duplicate"), ("contaminated", "contamination")):
        gone |= {row["id"]: step for row in records.read(folder / f"{name}.parquet", records.REMOVED).to_pylist()}
    found: dict[tuple[str, str], list[bool]] = {}
    for path in sorted(folder.glob("source-*.parquet")):
        for row in records.read(path, records.PROBLEM).to_pylist():
            if kind := json.loads(row["metadata"]).get("kind") if "copies" in row["id"] else None:
                where = TESTED if row["source"] == TESTED else ACROSS if row["source"] == ACROSS else WITHIN
                found.setdefault((where, kind), []).append(row["id"] in gone)
    return found


def recall(data: Path, vectors: Path, each: int, seed: int, beside: Path | None, threads: int, folder: Path) -> None:
    """Print how many of the planted copies leave, by kind; beside another checkout, on the same copies, if given."""
    plant(data, folder, each, seed)
    columns = {}
    if beside:
        environment = {**os.environ, "PYTHONPATH": str(beside / "workflow"), "DEEPSCALER_ROOT": str(beside)}
        command = [sys.executable, str(Path(__file__).with_name("curation.py")), "--run", str(folder)]
        command += ["--vectors", str(vectors), "--threads", str(threads)]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        columns["before"] = found_in(folder), float((folder / "seconds").read_text(encoding="utf-8"))
    run(folder, vectors, threads)
    columns["now"] = found_in(folder), float((folder / "seconds").read_text(encoding="utf-8"))
    for where, title in ((ACROSS, "across sources"), (WITHIN, "within a source"), (TESTED, "contamination")):
        print(f"\n| {title} | copies | {' | '.join(columns)} |\n|---|---:|{'---:|' * len(columns)}")
        kinds = [kind for place, kind in columns["now"][0] if place == where]
        total: Counter[str] = Counter()
        for kind in kinds:
            counts = {name: sum(found[where, kind]) for name, (found, _) in columns.items()}
            total.update(counts | {"copies": len(columns["now"][0][where, kind])})
            print(f"| {kind} | {len(columns['now'][0][where, kind])} | {' | '.join(map(str, counts.values()))} |")
        shares = [f"{total[name]} ({total[name] / total['copies']:.1%})" for name in columns]
        print(f"| all | {total['copies']} | {' | '.join(shares)} |")
    seconds = [found[1] for found in columns.values()]
    print(f"\nCPU seconds but for embedding: {', '.join(f'{name} {columns[name][1]:.1f}' for name in columns)}")
    if beside:
        print(f"ratio {seconds[1] / seconds[0]:.2f}")


def precision(data: Path, vectors: Path, threads: int, folder: Path) -> None:
    """Print what leaves of the real data but for exact duplicates, each with its twin, and the siblings that stay."""
    plant(data, folder, 0, 0)
    run(folder, vectors, threads)
    everything = {
        row["id"]: row
        for path in folder.glob("source-*.parquet")
        for row in records.read(path, records.PROBLEM).to_pylist()
    }
    everything |= {
        row["id"]: row for row in records.read(folder / "benchmarks.parquet", records.BENCHMARK_PROBLEM).to_pylist()
    }
    for name in ("duplicates", "contaminated"):
        left = records.read(folder / f"{name}.parquet", records.REMOVED).to_pylist()
        print(f"\n## {name}: {len(left)}; {dict(Counter(row['reason'] for row in left))}")
        for row in sorted(left, key=lambda row: (row["reason"], row["score"])):
            if row["reason"] != deduplicate.EXACT:
                twin = everything[row["twin"]]
                print(f"{row['reason']} {row['score']:.3f}: {row['id']} | {twin['id']}")
                print(
                    f"   [{row['answer']}] {short(row)}\n   [{twin.get('answer') or twin.get('answers')}] {short(twin)}"
                )
    with (folder / "contamination.csv").open(encoding="utf-8") as handle:
        kept = [row for row in csv.DictReader(handle) if row["decision"] != "removed"]
    print(f"\n## kept beside a benchmark's problem: {dict(Counter(row['decision'] for row in kept))}")
    for row in kept:
        scores = (row["decision"], row["similarity"], row["shared_runs"], row.get("wording", ""))
        print(*scores, row["id"], "|", row["benchmark_id"])
        print(f"   [{row['answer']}] {short(row)}")
        print(f"   [{row['benchmark_answers']}] {row['benchmark_problem'][:LIMIT]!r}")


def short(row: Row) -> str:
    return repr(row["problem"][:LIMIT])
