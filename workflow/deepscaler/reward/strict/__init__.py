"""Mathematical equivalence of two answers, in layers from the cheapest to the dearest."""

from deepscaler.reward.strict.judge import grade as grade
