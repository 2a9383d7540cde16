"""One run of mini for all tests: in a copy of the checkout, killed once on the way, as a user might.

DEEPSCALER_MINI_RUN=/path/to/checkout    judge the run that was made there instead; it is only read
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

MINI_SECONDS = 45 * 60
"""Far more than a run takes; it only ends one that hangs."""
FOREIGN = ["results/paper/table.csv", "results/released/table.csv", "results/table.csv", "work/paper/models/note.txt"]


@dataclass(frozen=True)
class MiniRun:
    """A checkout in which mini has run."""

    root: Path
    output: str
    """What the run printed; empty where it was made elsewhere."""
    killed: list[str]
    """What lay in the base model's folder after the kill."""
    foreign: list[str]
    """Files of other scales, put there before the run: each says `of another scale: {name}`."""

    @property
    def results(self) -> Path:
        return self.root / "results" / "mini"

    @property
    def work(self) -> Path:
        return self.root / "work" / "mini"

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command(self.root), *arguments],
            cwd=self.root,
            env=environment(self.root),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


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


def kill_in_distillation(root: Path) -> list[str]:
    """Start mini, kill it and all its children while the base model is distilled; gives what lies in its folder."""
    base, log = root / "work/mini/models/mini-base", root / "logs/mini/distill_base/mini-base.log"
    process = subprocess.Popen(
        [*command(root), "mini"],
        cwd=root,
        env=environment(root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and process.poll() is None:
            if log.exists() and "parameters" in log.read_text(encoding="utf-8", errors="replace"):
                break
            time.sleep(0.2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return sorted(path.name for path in base.glob("*"))


@pytest.fixture(scope="session")
def mini_run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> MiniRun:
    if given := os.environ.get("DEEPSCALER_MINI_RUN"):
        return MiniRun(Path(given).resolve(), "", [], [])
    copy = tmp_path_factory.mktemp("mini") / "checkout"
    copy_checkout(root, copy)
    for name in FOREIGN:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(f"of another scale: {name}\n")
    killed = kill_in_distillation(copy)
    with (copy / "mini.log").open("w+", encoding="utf-8") as log:
        run = subprocess.run(
            [*command(copy), "mini"],
            cwd=copy,
            env=environment(copy),
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=MINI_SECONDS,
            check=False,
        )
        log.seek(0)
        output = log.read()
    assert run.returncode == 0, output[-6000:]
    return MiniRun(copy, output, killed, FOREIGN)
