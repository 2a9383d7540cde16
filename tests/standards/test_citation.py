"""CITATION.cff and what is made of it; the bills of materials."""

import json
import subprocess
import tomllib
from pathlib import Path

import pytest
from validators import Validator


def test_the_citation_is_valid(root: Path, validator: Validator) -> None:
    done = validator("cffconvert", "--validate", "-i", root / "CITATION.cff")
    assert "valid according to schema version 1.2.0" in done.stdout, done.stderr


@pytest.mark.parametrize(("format", "name"), [("codemeta", "codemeta.json"), ("zenodo", ".zenodo.json")])
def test_its_other_forms_are_up_to_date(root: Path, validator: Validator, format: str, name: str) -> None:
    done = validator("cffconvert", "-i", root / "CITATION.cff", "-f", format)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((root / name).read_text()), "make citation"


def test_one_version_everywhere(root: Path) -> None:
    import yaml
    from deepscaler import __version__

    assert yaml.safe_load((root / "CITATION.cff").read_text())["version"] == __version__
    assert tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"] == __version__
    assert f"\n## {__version__}" in (root / "CHANGELOG.md").read_text()


def test_a_bill_of_materials_of_each_environment(root: Path, validator: Validator, tmp_path: Path) -> None:
    """cyclonedx validates what it writes, and every lock's packages are in it."""
    for kind in ("cpu", "gpu", "controller"):
        locks = [path for path in sorted((root / "envs").glob(f"{kind}[-.]*txt")) if "hash" in path.read_text()]
        merged = tmp_path / f"{kind}.txt"
        merged.write_text("".join(path.read_text() for path in locks))
        bill = tmp_path / f"{kind}.json"
        done = validator("cyclonedx-py", "requirements", merged, "--validate", "--output-reproducible", "-o", bill)
        assert done.returncode == 0, done.stderr
        listed = {component["name"].lower() for component in json.loads(bill.read_text())["components"]}
        assert {"snakemake", "pyarrow"} <= listed
        assert len(listed) == merged.read_text().count("==")


def test_the_command_writes_them(root: Path) -> None:
    made = subprocess.run(["make", "-n", "sbom"], cwd=root, capture_output=True, text=True, check=True).stdout
    assert "cyclonedx-py" in made
