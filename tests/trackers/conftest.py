"""What the trackers are given, by their own readers, in the environment of `make setup-tracking`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))

from made_run import look_at, made_run, run

__all__ = ["look_at", "made_run", "run"]
