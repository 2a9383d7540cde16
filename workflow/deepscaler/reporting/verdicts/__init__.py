"""Verdicts on claims by as many samples as they need: `deepscaler verify`. docs/verify.md states the model."""
