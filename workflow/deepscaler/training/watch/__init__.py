"""Seeing how training goes: metrics, health, budget, progress."""
