"""A computer whose GPU can't sample is told so before anything is fetched; nvidia-smi is a stand-in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CARD = "NVIDIA TITAN RTX, 24576, 4000, 580.65.06, [N/A], 7.5"
TABLE = "results/released/table.csv"


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (["results/released/table.csv"], True),
        (["--until", "fetch_benchmark", "--", "results/released/table.csv"], False),
    ],
    ids=["all", "fetching alone"],
)
def test_before_the_first_job(root: Path, tmp_path: Path, options: list[str], refused: bool) -> None:
    smi = tmp_path / "bin/nvidia-smi"
    smi.parent.mkdir()
    smi.write_text(f"#!/bin/sh\necho '{CARD}'\n")
    smi.chmod(0o755)
    (tmp_path / "hub").mkdir()
    own = {
        "PATH": f"{smi.parent}{os.pathsep}{os.environ['PATH']}",
        "DEEPSCALER_ROOT": str(root),
        "DEEPSCALER_WORK": str(tmp_path / "work"),
        "DEEPSCALER_HUB": str(tmp_path / "hub"),  # empty: nothing is asked for over the network
    }
    command = [sys.executable, "-m", "snakemake", "--profile", str(root / "profiles/workstation")]
    command += ["--snakefile", str(root / "Snakefile"), "--directory", str(tmp_path), "--retries", "0", *options]
    done = subprocess.run(
        command,
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    words = [
        "can't sample at scale 'released'",
        "bfloat16 needs 8.0",
        "84% of 26 GB are free",
        "memory_utilisation: 0.81",
    ]
    assert [word in done.stderr for word in words] == [refused] * 4, done.stderr
    assert (tmp_path / "logs").exists() != refused
