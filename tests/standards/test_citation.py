"""CITATION.cff and what is made of it; the bills of materials."""

import json
import re
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


def test_a_bill_of_materials_of_each_environment(root: Path, validator: Validator) -> None:
    """cyclonedx validates what it writes; every package of a lock is in it."""
    made = subprocess.run(["make", "sbom"], cwd=root, capture_output=True, text=True, timeout=240, check=False)
    assert made.returncode == 0, made.stderr
    for kind in ("cpu", "gpu", "controller"):
        components = json.loads((root / "sbom" / f"{kind}.cdx.json").read_text())["components"]
        locked = re.findall(r"^([a-z0-9-]+)==", (root / f"envs/{kind}.lock.txt").read_text(), re.MULTILINE)
        listed = {component["name"].lower().replace("_", "-").replace(".", "-") for component in components}
        assert len(locked) > 60
        assert set(locked) <= listed
