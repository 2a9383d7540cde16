"""What is asked of others' harnesses, each in an environment of its own; skipped where that is not set up."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))

from made_run import look_at, made_run, run

__all__ = ["look_at", "made_run", "run"]
