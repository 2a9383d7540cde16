"""The script for ten minutes on a GPU: what it does with each item, with stand-ins for nvidia-smi and for the items."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from deepscaler import settings
from deepscaler.cost.assumptions import ASSUMPTIONS
from deepscaler.settings import load

ITEMS = ["train", "update", "engine"]
ITEM = """#!/bin/sh
case $2 in
    table) exec {python} "$@" ;;
    update) echo '{{"flop_utilisation": 0.31, "peak_gb": 51.5}}' > "$3" ;;
    train) echo "no flash attention here"; exit 3 ;;
    engine) sleep 60 ;;
esac
"""


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """The script and what it calls, with an environment for GPUs whose items end well, badly and never."""
    (tmp_path / "benchmarks").mkdir()
    for name in ("gpu_minutes.sh", "gpu_minutes.py"):
        shutil.copy2(root / "benchmarks" / name, tmp_path / "benchmarks")
    script = tmp_path / "benchmarks/gpu_minutes.sh"
    text = script.read_text()
    assert "[engine]=300" in text
    script.write_text(text.replace("[engine]=300", "[engine]=1"))
    executable(tmp_path / ".venv-gpu/bin/python", ITEM.format(python=sys.executable))
    return tmp_path


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def run(checkout: Path, *options: str, smi: str | None = "exit 0") -> subprocess.CompletedProcess[str]:
    if smi is not None:
        executable(checkout / "bin/nvidia-smi", f"#!/bin/sh\n{smi}\n")
    return subprocess.run(
        [checkout / "benchmarks/gpu_minutes.sh", *options],
        cwd=checkout,
        env={**os.environ, "PATH": f"{checkout / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_each_item_ends_and_all_are_told(checkout: Path) -> None:
    done = run(checkout, "--out", "here")
    assert done.returncode == 1
    assert "no flash attention here" in done.stderr
    items = json.loads((checkout / "here/results.json").read_text())["items"]
    assert [(item["item"], item["ended"]) for item in items] == [
        ("train", "failed (exit code 3)"),
        ("update", "done"),
        ("engine", "stopped after 1 s"),
    ]
    assert items[1]["figures"] == {"flop_utilisation": 0.31, "peak_gb": 51.5}
    assert [item["replaces"] for item in items] == [[], ["flop_utilisation"], []]
    assert done.stdout == (checkout / "here/results.md").read_text()
    assert re.search(r"flop_utilisation \| 0.31 \| `flop_utilisation` = 0.4 of bf16 FLOP/s \(assumed\) \|", done.stdout)


@pytest.mark.parametrize(
    ("smi", "why"), [(None, "nvidia-smi is not here"), ("exit 9", "does not answer")], ids=["none", "silent"]
)
def test_without_a_gpu_items_are_passed_over_with_a_word(checkout: Path, smi: str | None, why: str) -> None:
    if smi is None and shutil.which("nvidia-smi"):
        pytest.skip("this computer has one")
    done = run(checkout, smi=smi)
    assert done.returncode == 0, done.stderr
    items = json.loads((checkout / "gpu-minutes/results.json").read_text())["items"]
    assert [item["item"] for item in items] == ITEMS
    assert all(why in item["ended"] and item["figures"] == {} for item in items)


def test_a_dry_run_leaves_nothing(checkout: Path) -> None:
    done = run(checkout, "--dry-run")
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ITEMS
    assert done.stdout.count("would run") == 3
    assert not (checkout / "gpu-minutes").exists()
    (checkout / ".venv-gpu/bin/python").chmod(0o644)
    assert run(checkout, "--dry-run").stdout.count("make setup-gpu") == 3


def test_an_unknown_option_is_refused(checkout: Path) -> None:
    done = run(checkout, "--fast")
    assert (done.returncode, done.stderr) == (2, "gpu_minutes.sh: unknown option --fast; --help lists them\n")
    assert "--dry-run" in run(checkout, "--help").stdout


def test_what_it_replaces_and_trains_is_known_here(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its figures have names of assumptions, and its scale is one that the settings take."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    import gpu_minutes

    assert set().union(*gpu_minutes.REPLACES.values()) <= {entry.name for entry in ASSUMPTIONS}
    assert list(gpu_minutes.REPLACES) == ITEMS
    shutil.copytree(root / "config", tmp_path / "config")
    (tmp_path / f"config/scales/{gpu_minutes.SCALE}.yaml").write_text(yaml.safe_dump(gpu_minutes.OWN_SCALE))
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))
    load.load_scale.cache_clear()
    scale = settings.load_scale(gpu_minutes.SCALE)
    assert scale.device == "gpu"
    assert scale.rehearsal
    assert scale.rehearsal.kill
    assert scale.training
    layout = scale.training.layout["8k"]
    assert layout.zero_stage == 3
    assert layout.save_steps == scale.rehearsal.kill.after_step < layout.segment_steps
