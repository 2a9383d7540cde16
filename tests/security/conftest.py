"""Fixtures for the attacks: a made-up run to forge."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))

from made_run import look_at, made_run, run

__all__ = ["look_at", "made_run", "run"]
