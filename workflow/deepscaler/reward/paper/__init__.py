"""DeepScaleR's grader, verdict for verdict, without evaluating any text."""

from deepscaler.reward.paper.judge import grade as grade
