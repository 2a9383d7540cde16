"""The crate of a run, by roc-validator: every profile that it names, and the context from rocrate's own package."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
from validators import Validator

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROFILES = ("ro-crate-1.1", "process-run-crate", "workflow-run-crate", "provenance-run-crate", "workflow-ro-crate")


@pytest.fixture(scope="module")
def cache(validator: Validator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    context = files("rocrate") / "data" / "ro-crate.jsonld"
    done = validator("python", Path(__file__).with_name("warm_cache.py"), folder / "cache", context, CONTEXT)
    assert done.returncode == 0, done.stderr
    return folder / "cache"


def findings(validator: Validator, cache: Path, profile: str, results: Path, output: Path) -> list[str]:
    words = ("--offline", "--skip-availability-check", "--cache-path", cache, "-np", "-p", profile, "-l", "REQUIRED")
    done = validator("rocrate-validator", "-y", "validate", *words, "-f", "json", "-o", output, results)
    assert output.is_file(), done.stdout + done.stderr
    report = json.loads(output.read_text())
    assert report["passed"] == (not report["issues"])
    return [issue["message"] for issue in report["issues"]]


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_required_is_missing(
    run: Path, validator: Validator, cache: Path, tmp_path: Path, profile: str
) -> None:
    assert findings(validator, cache, profile, run / "results/mini", tmp_path / "report.json") == []


def test_a_job_without_its_step_is_found(run: Path, validator: Validator, cache: Path, tmp_path: Path) -> None:
    path = run / "results/mini/ro-crate-metadata.json"
    crate = json.loads(path.read_text())
    crate["@graph"] = [entity for entity in crate["@graph"] if not entity["@id"].startswith("#step-")]
    path.write_text(json.dumps(crate))
    found = findings(validator, cache, "provenance-run-crate", run / "results/mini", tmp_path / "report.json")
    assert any("HowToStep" in message for message in found)
