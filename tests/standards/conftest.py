"""The formats that this project writes, held against their own validators, without a network."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))

from made_run import look_at, made_run, run
from validators import validator

__all__ = ["look_at", "made_run", "run", "validator"]
