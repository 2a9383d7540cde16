"""What a report of a fault shows, and what it does not."""

import getpass
import re
import shutil
import socket
from pathlib import Path

import pytest
from deepscaler.errors import UserError
from deepscaler.maintenance.about import about
from deepscaler.maintenance.citation_blocks import cited_tools


def test_versions_computer_and_settings(run: Path) -> None:
    lines = dict(line.split(": ", 1) for line in about("mini"))
    assert set(lines) == {"deepscaler", "packages", "system", "computer", "GPUs", "site", "settings of mini"}
    assert re.fullmatch(r"digest [0-9a-f]{12}", lines["settings of mini"])
    assert re.search(r"\d+ cores of \d+, \d+ GiB", lines["computer"])


def test_no_path_no_name_no_secret(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSCALER_ACCOUNT", "professor-hidden")
    (run / "config/site.local.yaml").write_text("account: professor-hidden\n")
    text = "\n".join(about(None))
    assert "DEEPSCALER_ACCOUNT" in text
    for secret in ("professor-hidden", str(run), socket.gethostname(), f"/{getpass.getuser()}/"):
        assert secret not in text


def test_settings_that_differ_have_another_digest(run: Path) -> None:
    from deepscaler import settings

    before = list(about("mini"))[-1]
    path = run / "config/scales/mini.yaml"
    path.write_text(path.read_text().replace("seed: 42", "seed: 43"))
    settings.load_scale.cache_clear()
    try:
        assert list(about("mini"))[-1] != before
    finally:
        settings.load_scale.cache_clear()


@pytest.mark.parametrize("change", ["none", "asked for, not cited", "cited, not asked for"])
def test_every_tool_is_cited(root: Path, run: Path, change: str) -> None:
    """docs/citations.yaml has an entry for each package that envs/*.in name, and no other."""
    for path in ("envs", "docs"):
        shutil.copytree(root / path, run / path, dirs_exist_ok=True)
    if change == "none":
        assert "| snakemake | 9." in cited_tools()
        return
    if change.startswith("asked"):
        (run / "envs/more.in").write_text("left-pad==1.0\n")
    else:
        path = run / "docs/citations.yaml"
        path.write_text(path.read_text() + "others:\n  left-pad: someone\n")
    with pytest.raises(UserError, match="left-pad"):
        cited_tools()
