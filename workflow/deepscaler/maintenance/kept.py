"""The runs that are kept for comparison, whose numbers the documents' blocks show."""

from deepscaler import settings
from deepscaler.reporting.claims.results import Results


def reference(scale: str) -> Results:
    """The run of a scale that is kept for comparison."""
    return Results(scale, settings.project_root() / "results" / "reference" / scale)
