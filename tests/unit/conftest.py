"""Fixtures for unit tests."""

from made_run import look_at, made_run, run

__all__ = ["look_at", "made_run", "run"]
