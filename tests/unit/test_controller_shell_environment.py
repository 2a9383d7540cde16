"""Nothing that the shell sets for another Python reaches Snakemake or its jobs."""

import sys
from pathlib import Path

import pytest
from deepscaler import environment as environment_module
from deepscaler.controller import shell_environment
from deepscaler.errors import UserError


def module(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
    return str(folder)


def test_a_folder_that_hides_packages_is_refused(tmp_path):
    own, foreign = module(tmp_path / "own", "yaml", "numpy"), module(tmp_path / "module", "numpy", "other")
    with pytest.raises(UserError, match=r"numpy.*/module.*env -u PYTHONPATH"):
        shell_environment.check_python_path(f"/none:{foreign}", ["", "/none", foreign, own])


def test_folders_that_hide_nothing(tmp_path):
    own, other = module(tmp_path / "own", "numpy"), module(tmp_path / "module", "other")
    checkout = module(tmp_path / "checkout", "deepscaler", "numpy")
    for value in ("", other, own, checkout):
        shell_environment.check_python_path(value, [value, own])


def test_a_single_file_of_the_standard_library(tmp_path):
    (tmp_path / "typing.py").touch()
    with pytest.raises(UserError, match="typing"):
        shell_environment.check_python_path(str(tmp_path), [str(tmp_path), *sys.path])


def test_what_jobs_inherit():
    environment = {
        "PYTHONHOME": "/x",
        "PYTHONINSPECT": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": "/bin",
        "HOME": "/h",
    }
    shell_environment.for_jobs(environment)
    assert environment == {
        "PATH": f"{Path(sys.executable).parent}:/bin",
        "HOME": "/h",
        **environment_module.FIXED,
    }


def test_what_chooses_kernels_does_not_reach_the_jobs():
    """It would change the last digits, and with them training."""
    environment = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "COMPATIBLE", "OMP_DYNAMIC": "true", "HOME": "/home/me"}
    shell_environment.for_jobs(environment)
    assert not environment.keys() & {"ATEN_CPU_CAPABILITY", "MKL_CBWR", "OMP_DYNAMIC"}
    assert environment["HOME"] == "/home/me"
