"""A benchmark as a table of problems: fetched by pin, or drawn for the miniature."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepscaler import croissant, hub, records, settings
from deepscaler.curation.markup import engine_markup
from deepscaler.errors import UserError, refuse_unknown
from deepscaler.files import remove
from deepscaler.miniature.problems import BENCHMARK_SEED, draw_benchmark
from deepscaler.settings.benchmarks import Benchmark


def fetch_benchmark(*, benchmark: str, output: Path, description: Path | None = None) -> None:
    """Write the benchmark's problems to `output`, in the order of their source, and their description."""
    known = settings.benchmarks()
    if benchmark not in known:
        raise refuse_unknown("benchmark", benchmark, list(known), "config/benchmarks.yaml")
    entry = known[benchmark]
    if entry.kind == "synthetic":
        drawn = draw_benchmark(benchmark, entry.size, BENCHMARK_SEED)
        rows = [{"problem": problem.text, "answer": problem.answer, "family": problem.family} for problem in drawn]
        metadata = {"seed": str(BENCHMARK_SEED)}
    else:
        rows, metadata = fetched_rows(entry, output)
    records.write(output, problems(benchmark, entry, rows), records.BENCHMARK_PROBLEM, metadata)
    if description:
        croissant.describe(description, output, described(benchmark, entry))
    print(
        f"{benchmark}: {len(rows)} problems" + (f" ({metadata['verified']} verified)" if "verified" in metadata else "")
    )


def described(benchmark: str, entry: Benchmark) -> croissant.Described:
    """A benchmark in words, by its entry in config/benchmarks.yaml."""
    origin = f"{entry.repository}, revision {entry.revision or 'not pinned'}" if entry.repository else "drawn here"
    flags = "; ".join(f"{len(places)} known to be {flag}" for flag, places in entry.flags.items())
    return croissant.Described(
        name=benchmark,
        description=f"{entry.title}: {entry.size} problems with accepted answers, for evaluation.",
        licence=entry.licence or ("MIT" if entry.kind == "synthetic" else "not stated"),
        citation=entry.citation or origin,
        columns={
            "id": "benchmark and place in the source's file",
            "benchmark": "the entry of config/benchmarks.yaml",
            "problem": "the problem's text",
            "answers": "answers, any of which is right",
            "metadata": "the source's other columns, as JSON",
        },
        responsible={
            "dataCollection": f"From {origin}",
            "dataUseCases": "Evaluation only: a model trained on these problems cannot be measured with them.",
            "dataLimitations": f"Few problems: a score's standard error is of percents. {flags}".strip(),
            "personalSensitiveInformation": "None known; names in problems are invented.",
        },
    )


def fetched_rows(entry: Benchmark, output: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The rows of a set's data files, and where they came from."""
    assert entry.repository is not None
    aside = output.with_name(f".{output.name}.fetched")
    aside.mkdir(parents=True, exist_ok=True)
    host: hub.Host = "github" if entry.kind == "github" else "dataset"
    pin = hub.Pin(host, entry.repository, entry.revision, entry.files)
    snapshot = hub.fetch(pin, aside, settings.site().hub)
    rows = [row for name in entry.files for row in hub.read_rows(aside / name)]
    remove(aside)
    metadata = {
        "repository": entry.repository,
        "revision": snapshot.revision or "",
        "files": json.dumps(snapshot.digests),
        "verified": snapshot.verified,
    }
    return rows, metadata


def problems(benchmark: str, entry: Benchmark, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows as benchmark problems; a set of the wrong size or a row that cannot be used is refused."""
    if len(rows) != entry.size:
        raise UserError(f"{benchmark} has {len(rows)} problems, expected {entry.size}", "config/benchmarks.yaml")
    fields = entry.fields
    for index, row in enumerate(rows):
        where = f"{benchmark}, row {index}"
        for column in (fields.problem, fields.answers):
            if column not in row:
                raise UserError(f"no column {column!r}", where, f"columns: {', '.join(row)}; see `fields`")
        text = row[fields.problem]
        if not isinstance(text, str) or not text.strip():
            raise UserError("an empty problem", where)
        if not is_unicode(json.dumps(row, ensure_ascii=False, default=str)):
            raise UserError("characters that are no Unicode text", where)
        if markup := engine_markup(text):
            hint = "a benchmark without one of its problems is another: correct its data file"
            raise UserError(f"the problem holds {markup}, which engines take for markup", where, hint)
        yield {
            "id": f"{benchmark}/{index:04d}",
            "benchmark": benchmark,
            "problem": text,
            "answers": accepted(row[fields.answers], where),
            "metadata": json.dumps(
                {key: value for key, value in row.items() if key not in (fields.problem, fields.answers)},
                ensure_ascii=False,
                default=str,
            ),
        }


def is_unicode(text: str) -> bool:
    """Not where JSON has halves of pairs of 16 bits: no file could hold them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def accepted(value: Any, where: str) -> list[str]:
    """The accepted answers, as the source writes them: one or a list, strings or numbers."""
    values = value if isinstance(value, list) else [value]
    answers = [str(item) for item in values if isinstance(item, str | int | float) and not isinstance(item, bool)]
    if not answers or len(answers) != len(values) or not all(answer.strip() for answer in answers):
        raise UserError(f"an answer that is empty or no text: {str(value)[:60]!r}", where)
    return answers
