"""What the blocks of the documents share: tables, and the runs that are kept."""

from collections.abc import Iterable

from deepscaler import settings
from deepscaler.reporting.claims.results import Results


def reference(scale: str) -> Results:
    """The run of a scale that is kept for comparison."""
    return Results(scale, settings.project_root() / "results" / "reference" / scale)


def markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
