"""DeepScaleR's grader, verdict for verdict, without evaluating any text."""

from .judge import grade as grade
