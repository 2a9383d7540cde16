"""One run of mini for all tests: in a copy of the checkout, killed once on the way, as a user might.

DEEPSCALER_MINI_RUN=/path/to/checkout    judge the run that was made there instead; it is only read
"""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from mini_checkout import command, copy_checkout, environment

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


@pytest.fixture(scope="module")
def zero_stage() -> int:
    """Of the tests that train a chain; a module that is about it has a fixture of its own, for 2 and 3."""
    return 2


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
