"""The miniature: synthetic problems that a model of half a million parameters can learn to reason about."""
