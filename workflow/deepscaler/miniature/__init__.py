"""The miniature's world: synthetic problems that a model of half a million parameters can learn to reason about."""
