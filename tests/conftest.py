"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real benchmarks, training problems and grading cases, where they are at hand; they are not committed."""
    folder = Path(os.environ.get("DEEPSCALER_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"real data is not at hand (looked in {folder}; set DEEPSCALER_SHARED)")
    return folder
