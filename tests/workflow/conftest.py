"""The workflow as Snakemake sees it: parsed once, and run dry in processes of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Snakemake = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def snakemake(root: Path) -> Snakemake:
    """Start Snakemake at the checkout's root, as a user would; nothing of what it is given here runs a job."""

    def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        assert {"-n", "--dry-run", "--summary"} & set(arguments), "tests of the DAG start no jobs"
        command = [str(Path(sys.executable).with_name("snakemake")), *arguments]
        return subprocess.run(
            command, cwd=root, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False
        )

    return start


@pytest.fixture(scope="session")
def workflow(root: Path) -> Any:
    """The parsed workflow, with its rules."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import OutputSettings, ResourceSettings, StorageSettings, WorkflowSettings

    before = Path.cwd()
    os.chdir(root)
    try:
        with SnakemakeApi(OutputSettings(quiet=None)) as api:
            yield api.workflow(
                resource_settings=ResourceSettings(cores=1),
                storage_settings=StorageSettings(),
                workflow_settings=WorkflowSettings(),
                snakefile=root / "Snakefile",
            )._workflow
    finally:
        os.chdir(before)


@pytest.fixture
def config_copy(root: Path, tmp_path: Path) -> Path:
    """A folder with a copy of config/, to be edited and given to Snakemake as DEEPSCALER_ROOT."""
    shutil.copytree(root / "config", tmp_path / "config")
    return tmp_path
