"""Fixtures for unit tests."""

import os
import shutil
from pathlib import Path

import own_settings
import pytest
import synthetic_run
from deepscaler import settings

# As the command line sets it: tests run beside each other, and threads that spin would slow all of them
os.environ.setdefault("GOMP_SPINCOUNT", "0")


@pytest.fixture(scope="session")
def made_run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a made-up run of the mini scale; read it, never change it."""
    folder = synthetic_run.checkout(root, tmp_path_factory.mktemp("run") / "checkout")
    with pytest.MonkeyPatch.context() as patch:
        look_at(folder, patch)
        synthetic_run.make(folder)
    return folder


@pytest.fixture
def run(made_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the made-up run that a test may change; the package takes it for its checkout."""
    folder = shutil.copytree(made_run, tmp_path / "checkout")
    look_at(folder, monkeypatch)
    return folder


def look_at(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Have the package work on a checkout, whatever this site's settings say."""
    patch.setenv("DEEPSCALER_ROOT", str(folder))
    patch.setattr(settings, "site", own_settings.site)
    patch.chdir(folder)
