"""A copy of the checkout in which the workflow may run, and how it is started there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def command(root: Path) -> list[str]:
    """What `make mini` runs, up to the target."""
    snakemake = Path(sys.executable).with_name("snakemake")
    return [str(root / "workflow" / "alone.sh"), str(snakemake), "--profile", "profiles/laptop", "--nolock"]


def environment(root: Path) -> dict[str, str]:
    """The package of the copy goes before the one that is installed; nothing else of the caller's is kept."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("DEEPSCALER_", "PYTEST_"))}
    return {**ours, "PYTHONPATH": str(root / "workflow"), "PYTHONDONTWRITEBYTECODE": ""}


def copy_checkout(root: Path, target: Path) -> None:
    """The files of a fresh clone, with what is changed and not committed."""
    if (root / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
        for name in filter(None, listed):
            if (root / name).exists() or (root / name).is_symlink():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, target / name, follow_symlinks=False)
    else:
        ignored = shutil.ignore_patterns(".venv*", "work", "logs", ".snakemake", "__pycache__")
        shutil.copytree(root, target, symlinks=True, ignore=ignored, dirs_exist_ok=True)
