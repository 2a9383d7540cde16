"""Jobs in an image see the node's GPUs; apptainer is a stand-in that keeps what it is given."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

APPTAINER = """#!/bin/sh
case "$1" in --version) echo "apptainer version 1.3.4"; exit 0;; esac
printf '%s\\n' "$@" >> "{calls}"
printf '%s\\n' ---- >> "{calls}"
"""


@pytest.mark.parametrize(
    ("options", "own_words"), [([], []), (["--apptainer-args", "--bind /scratch"], ["--bind", "/scratch"])]
)
def test_the_generated_command(root: Path, tmp_path: Path, options: list[str], own_words: list[str]) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    calls = tmp_path / "calls"
    for name in ("apptainer", "singularity"):
        (programs / name).write_text(APPTAINER.format(calls=calls))
        (programs / name).chmod(0o755)
    image = tmp_path / "gpu.sif"
    image.write_bytes(b"")
    own = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "DEEPSCALER_ROOT": str(root),
        "DEEPSCALER_WORK": str(tmp_path / "work"),
        "DEEPSCALER_IMAGE": str(image),
    }
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"), "--directory", str(tmp_path)]
    command += ["--cores", "1", "--sdm", "apptainer", *options, "--", "results/mini/settings.yaml"]
    done = subprocess.run(
        command,
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    words = calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
    assert words, done.stderr
    assert words[0] == "exec"
    home = words.index("--home") + 2
    assert words[home : home + len(own_words) + 1] == [*own_words, "--nv"]
    assert str(image) in words
