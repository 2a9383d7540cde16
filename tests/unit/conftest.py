"""Fixtures for unit tests."""

import os

from made_run import look_at, made_run, run

__all__ = ["look_at", "made_run", "run"]

# As the command line sets it: tests run beside each other, and threads that spin would slow all of them
os.environ.setdefault("GOMP_SPINCOUNT", "0")
