"""Watching a run: metrics, health, budget, progress."""
