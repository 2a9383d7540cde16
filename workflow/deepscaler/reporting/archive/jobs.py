"""What is made again by processes of their own: a verb with a work root of its own, and the whole workflow."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from deepscaler import settings
from deepscaler.errors import JobError
from deepscaler.files import digest_of
from deepscaler.job_log import last_useful_line

CHECKOUT = ("Snakefile", "config", "envs", "profiles", "workflow", "pyproject.toml", "CITATION.cff")
"""What the workflow needs of a checkout."""
PROFILE = "profiles/laptop"


def run_verb(folder: Path, work: Path, *words: str) -> None:
    """Run a verb with `work` as the work root, so that nothing that is kept is given back; its log is in `folder`.

    Raises:
        JobError: it failed; the last line of its log says why.
    """
    command = [sys.executable, "-c", "from deepscaler.cli import main; main()", *words]
    places = {"DEEPSCALER_WORK": str(work), "DEEPSCALER_ROOT": str(settings.project_root())}
    log = folder / "logs" / f"{words[0]}-{digest_of(words)[:12]}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | places, check=False)
    if done.returncode:
        raise JobError(f"{words[0]} failed: {last_useful_line(log)}")


def run_workflow(scale: str, folder: Path) -> tuple[Path, Path]:
    """Run the whole workflow in a copy of this checkout, with nothing made before; its results and its work folder."""
    root, copy = settings.project_root(), folder / "checkout"
    copy.mkdir()
    for name in CHECKOUT:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.local.yaml"))
        elif (root / name).is_file():
            shutil.copyfile(root / name, copy / name)
    ours = {key: value for key, value in os.environ.items() if not key.startswith("DEEPSCALER_")}
    environment = ours | {"PYTHONPATH": str(copy / "workflow"), "PYTHONDONTWRITEBYTECODE": ""}
    snakemake = Path(sys.executable).with_name("snakemake")
    command = [str(copy / "workflow" / "alone.sh"), str(snakemake), "--profile", PROFILE, "--nolock", scale]
    if subprocess.run(command, cwd=copy, env=environment, check=False).returncode:
        raise JobError("the workflow did not come to its end; its lines above say why", f"scale {scale}")
    return copy / "results" / scale, copy / "work" / scale
