"""Limits of one verdict, wherever answers are graded: the reward, the evaluation, the curation."""

from pydantic import Field

from deepscaler.settings.base import Strict


class Grading(Strict):
    """Beyond a limit the grading is stopped, and the answer counts as wrong."""

    seconds: float = Field(gt=0)
    """Of one comparison, after which it is stopped and counts as unequal."""
    memory_mb: int = Field(ge=256)
    """Address space of a grading process."""
