"""Mathematical equivalence of two answers, in layers, the fastest first."""

from deepscaler.reward.strict.judge import grade as grade
