"""Commands of the environment `standards`."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Validator = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def validator(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Validator:
    """Runs a command of the environment `standards`, with a HOME of its own, and fails where it fails."""
    commands = root / ".venv-standards/bin"
    if not (commands / "python").is_file():
        pytest.skip("no validators here: make setup-standards")
    home = tmp_path_factory.mktemp("home")

    def call(name: str, *words: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [commands / name, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, "HOME": str(home)},
        )

    return call
