"""The paper's run, started where it cannot run: it stops before anything else has been done."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has GPUs")
def test_it_stops_at_preflight_with_a_list_and_nothing_half_made(root: Path, tmp_path: Path) -> None:
    for name in ("config", "envs", "workflow/rules", "workflow/notebooks"):
        shutil.copytree(root / name, tmp_path / name)
    shutil.copyfile(root / "Snakefile", tmp_path / "Snakefile")
    # all of it, so that the run gets as far as preflight; without: tests/security/test_approval.py
    (tmp_path / "config" / "approved.local.yaml").write_text("paper: 10000\n", encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DEEPSCALER_")}
    environment |= {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "results/table.csv"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=580, check=False
    )
    assert done.returncode == 1
    told = done.stdout + done.stderr
    for word in ("no NVIDIA GPU", "weights of", "GPU-hours approved"):
        assert word in told, told[-3000:]
    assert re.search(r"(8k needs one node|(16k|24k) needs 4 nodes) of 8 × A100", told)
    assert "nothing was started" in told
    assert "preflight failed: deepscaler: " in told
    made = [path for folder in ("work", "results") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    assert made == []
    assert [path.name for path in (tmp_path / "logs" / "paper").iterdir()] == ["preflight"]


@pytest.mark.timeout(300)
def test_a_missing_key_stops_it_before_the_first_job(root: Path, tmp_path: Path) -> None:
    for name in ("config", "envs", "workflow/rules", "workflow/notebooks"):
        shutil.copytree(root / name, tmp_path / name)
    shutil.copyfile(root / "Snakefile", tmp_path / "Snakefile")
    model = "{ api: openai, model: reader }"
    site = "language_models: { openai: { base_url: null, key_variable: READER_KEY } }\n"
    (tmp_path / "config/site.local.yaml").write_text(site, encoding="utf-8")
    (tmp_path / "config/scales/asking.yaml").write_text(
        f"extends: mini\ncuration: {{ extract_answers: {{ language_model: {model} }} }}\n", encoding="utf-8"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DEEPSCALER_")}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "asking"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 1
    assert "extract_answers asks reader, and $READER_KEY is not set" in done.stderr
    assert not (tmp_path / "work").exists()
    assert not (tmp_path / "logs").exists()
