"""table.md: the paper's main table with our numbers, the paper's beside them, and the standard errors of ours."""

from collections.abc import Callable, Sequence

from deepscaler import settings
from deepscaler.evaluation.table_rows import AVERAGE, MISSING, PAPER_COLUMNS, Row, table_columns
from deepscaler.settings.models import Reported

REPORTED = "†"


def table_markdown(scale: str, rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Tables of Pass@1 as the paper prints it, of its standard errors, and of its distance from the paper's."""
    shown = [*columns, AVERAGE]
    compared = compared_columns(scale, columns)
    sampled = [row for row in rows if row.scores]
    parts = [
        f"# Pass@1 of {settings.load_scale(scale).evaluation.samples} samples ({scale})\n",
        grid(scale, rows, shown, pass_at_1(rows, shown, compared)),
        legend(scale, rows, bool(compared)),
        "\n## Standard errors, in percentage points\n",
        "Within problems: how far another run on the same problems may differ.\n",
        grid(scale, sampled, shown, lambda row, column: one(row.standard_error_within(column))),
        "\nTotal: how far the same system may differ on other problems of the kind.\n",
        grid(scale, sampled, shown, lambda row, column: one(row.standard_error(column))),
    ]
    if marked := [column for column in columns if any(row.unmarked(column) is not None for row in rows)]:
        parts += [
            "\n## Pass@1 without the problems that are marked\n",
            grid(scale, sampled, marked, lambda row, column: one(row.unmarked(column))),
            marks(scale),
        ]
    if fixed := [column for column in columns if any(row.corrected(column) is not None for row in sampled)]:
        parts += [
            "\n## Pass@1 of the `strict` grader, by the benchmark's golds → by corrected ones\n",
            grid(scale, sampled, fixed, corrected),
            "\nGolds that do not say what their own solution says: `config/corrections.yaml`. The table above, and"
            " everything of the `paper` grader, is by the benchmark's golds.\n",
        ]
    if any(paper_value(row, column) is not None for row in sampled for column in compared):
        parts += [
            "\n## Ours minus the paper's, in percentage points\n",
            grid(scale, sampled, shown, difference),
            "\n± our standard error within problems, which are the same as the paper's. Its numbers have an error of"
            " this kind too, which it does not give; of as many samples it is about the same.\n",
        ]
    return "\n".join(parts)


def pass_at_1(rows: Sequence[Row], shown: Sequence[str], compared: Sequence[str]) -> Callable[[Row, str], str]:
    """Cells as in the paper: the best of a column bold, what was run here underlined; the paper's in parentheses."""
    best = {column: max((v for row in rows if (v := row.value(column)) is not None), default=None) for column in shown}

    def cell(row: Row, column: str) -> str:
        value = row.value(column)
        written = one(value)
        if value is not None and row.scores:
            written = f"<u>{written}</u>"
        if value is not None and one(value) == one(best[column]):
            written = f"**{written}**"
        paper = paper_value(row, column) if column in compared and row.scores else None
        return f"{written} ({one(paper)})" if paper is not None else written

    return cell


def corrected(row: Row, column: str) -> str:
    figures = row.corrected(column)
    return MISSING if figures is None else f"{one(figures[0])} → {one(figures[1])}"


def difference(row: Row, column: str) -> str:
    """Ours minus the paper's, with the error of another run on the same problems."""
    ours, paper, error = row.value(column), paper_value(row, column), row.standard_error_within(column)
    if ours is None or paper is None:
        return MISSING
    return f"{ours - paper:+.1f}" + (f" ± {error:.1f}" if error is not None else "")


def paper_value(row: Row, column: str) -> float | None:
    """What the paper reports for a system that it also evaluated."""
    return getattr(row.entry, "paper", {}).get(column)


def compared_columns(scale: str, columns: Sequence[str]) -> list[str]:
    """The columns that the paper may have numbers for; none where the miniature's own problems fill a column.

    The paper's average is over its five benchmarks, and comparable with no other.
    """
    synthetic = any(settings.benchmarks()[name].kind == "synthetic" for name in suite(scale))
    if synthetic:
        return []
    return [*columns, AVERAGE] if set(columns) == set(PAPER_COLUMNS) else list(columns)


def grid(scale: str, rows: Sequence[Row], shown: Sequence[str], cell: Callable[[Row, str], str]) -> str:
    titles = {AVERAGE: average_title(table_columns(scale))}
    titles |= {settings.benchmarks()[n].column: settings.benchmarks()[n].title for n in suite(scale)}
    lines = [
        "| Model | " + " | ".join(titles[column] for column in shown) + " |",
        "| --- |" + " ---: |" * len(shown),
    ]
    for row in rows:
        mark = f" {REPORTED}" if isinstance(row.entry, Reported) else ""
        lines.append(f"| {row.title}{mark} | " + " | ".join(cell(row, column) for column in shown) + " |")
    return "\n".join(lines) + "\n"


def legend(scale: str, rows: Sequence[Row], compared: bool) -> str:
    grader = settings.load_scale(scale).evaluation.grader
    notes = [f"Bold: the best of a column. Underlined: sampled here, graded by the `{grader}` grader."]
    if compared:
        notes.append("In parentheses: the paper's number.")
    if all(settings.benchmarks()[name].kind == "synthetic" for name in suite(scale)):
        notes.append("The sets are chains of digits, each in the column of one of the paper's: docs/miniature.md.")
    notes += [
        f"{REPORTED} {row.title}: reported, not run ({row.entry.source})."
        for row in rows
        if isinstance(row.entry, Reported)
    ]
    return "\n".join(f"{note}  " for note in notes)


def marks(scale: str) -> str:
    """How many problems of each benchmark are marked, and with which defect."""
    entries = [settings.benchmarks()[name] for name in suite(scale)]
    counts = [
        f"{entry.title}: {len(indices)} of {entry.size} {flag.replace('_', ' ')}"
        for entry in entries
        for flag, indices in entry.flags.items()
    ]
    return f"\n{'; '.join(counts)}. Which, and how it was found: `config/benchmarks.yaml`.\n"


def suite(scale: str) -> list[str]:
    return settings.load_scale(scale).evaluation.suites["table"]


def average_title(columns: Sequence[str]) -> str:
    """The average's header: with the number of benchmarks where these are not the paper's five."""
    return "Avg." if set(columns) == set(PAPER_COLUMNS) else f"Avg. of {len(columns)}"


def plain(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The table for a terminal."""
    width = max(len(row.title) for row in rows)
    lines = [f"{'':{width}}  " + " ".join(f"{column:>14}" for column in (*columns, AVERAGE))]
    lines += [
        f"{row.title:{width}}  " + " ".join(f"{one(row.value(column)):>14}" for column in (*columns, AVERAGE))
        for row in rows
    ]
    return "\n".join(lines)


def one(value: float | None) -> str:
    """One digit after the point, as the paper prints, or `-`."""
    return MISSING if value is None else f"{value:.1f}"
