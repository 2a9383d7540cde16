"""Keys of the one who runs it: in no message, no log that others can read, no results and no crate."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from deepscaler import dag, settings
from deepscaler.errors import JobError, UserError
from deepscaler.files import appending
from deepscaler.redaction import REDACTED, redacted
from deepscaler.reporting.provenance.record_provenance import copy_source
from deepscaler.training.launch.launch import start_driver
from deepscaler.training.launch.spec import Launch

SECRETS = {
    "HF_TOKEN": "hf_abcdefgh",
    "OPENAI_API_KEY": "sk-12345678",
    "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
    "WANDB_API_KEY": "wandb-secret",
    "AWS_SECRET_ACCESS_KEY": "aws/secret+value",
    "MY_SITE_PASSWORD": "correct horse",
    "GITHUB_TOKEN": "ghp_xxxxxxxx",
    "OPENAI_APIKEY": "sk-87654321",
    "PGPASSWORD": "of the database",
    "GITHUB_PAT": "ghp_yyyyyyyy",
    "MYSQL_PWD": "of another database",
    "SSH_PASSPHRASE": "open sesame",
}


def test_every_secret_of_the_environment_is_taken_out() -> None:
    text = " and ".join(SECRETS.values()) + " but not this"
    clean = redacted(text, environment=SECRETS)
    assert clean == " and ".join([REDACTED] * len(SECRETS)) + " but not this"
    assert redacted("the key named short", "short", environment={}) == f"the key named {REDACTED}"


def test_what_is_no_secret_stays() -> None:
    harmless = {"TOKENIZERS_PARALLELISM": "truetrue", "KEYBOARD": "qwertyuiop", "API_KEY": "1", "HOME": "/home/someone"}
    harmless |= {"PWD": "/work/here", "OLDPWD": "/work/there", "PATH": "/usr/bin:/bin"}
    text = " ".join(harmless.values())
    assert redacted(text, environment=harmless) == text


def test_a_secret_within_another_leaves_nothing_of_it() -> None:
    environment = {"A_TOKEN": "12345678", "B_TOKEN": "12345678abcdefgh"}
    assert redacted("x12345678abcdefghx", environment=environment) == f"x{REDACTED}x"


@pytest.mark.parametrize("kind", [UserError, JobError])
def test_an_error_that_quotes_a_server_or_a_library(kind: type[UserError], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRETS["HF_TOKEN"])
    error = kind(f"401 for Bearer {SECRETS['HF_TOKEN']}", f"https://x/?t={SECRETS['HF_TOKEN']}", SECRETS["HF_TOKEN"])
    assert SECRETS["HF_TOKEN"] not in str(error)
    assert REDACTED in str(error)


def test_results_and_crate_carry_no_sites_own_settings(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(root / "config", checkout / "config")
    shutil.copytree(root / "workflow/rules", checkout / "workflow/rules")
    shutil.copy(root / "Snakefile", checkout)
    (checkout / "config/site.local.yaml").write_text("account: secret-project\nwork: /scratch/someone\n")
    (checkout / "config/approved.local.yaml").write_text("paper: 1\n")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(checkout))
    copy_source(tmp_path / "source")
    copied = [path for path in (tmp_path / "source").rglob("*") if path.is_file()]
    assert not [path for path in copied if path.name.endswith(".local.yaml")]
    assert {"Snakefile", "site.yaml", "paper.yaml"} <= {path.name for path in copied}
    assert not [path for path in copied if "secret-project" in path.read_text()]
    assert "secret-project" not in str(dag.resolved("paper"))
    assert "language_models" not in str(dag.resolved("paper"))


def test_what_is_this_computers_own_is_not_in_git(root: Path) -> None:
    names = ["config/site.local.yaml", "config/approved.local.yaml"]
    told = subprocess.run(["git", "check-ignore", *names], cwd=root, capture_output=True, text=True, check=False)
    assert told.stdout.split() == names
    assert settings.site().language_models["openai"].base_url is None


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_an_engines_log_is_its_owners(mask: int, tmp_path: Path) -> None:
    """What OpenRLHF prints is not ours to know."""
    before = os.umask(mask)
    try:
        launch = Launch([], {}, "cpu", 1, 1, 1, tmp_path)
        process = start_driver(launch, {"PATH": os.environ["PATH"], "PYTHONPATH": "", "HOME": str(tmp_path)})
        process.kill()
        process.wait()
        appending(tmp_path / "other").close()
    finally:
        os.umask(before)
    for name in ("driver.log", "other"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
