"""Mini undisturbed, and mini killed five times at random moments, are equal to the byte: `make test-equal`, by hand.

DEEPSCALER_MINI_RUN=/path/to/checkout    compare with the run that was made there instead of making one
DEEPSCALER_KILLS=7                       the seed of the moments
"""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deepscaler.reporting.equality import differences, digests
from deepscaler.training.launch import reaper
from mini_checkout import command, copy_checkout, environment

pytestmark = [
    pytest.mark.mini,
    pytest.mark.timeout(2 * 3600),
    pytest.mark.skipif("DEEPSCALER_KILLS" not in os.environ, reason="two whole runs: make test-equal"),
]

KILLS = (
    ("train_segment", "everything"),
    ("train_segment", "snakemake"),
    ("train_segment", "a worker"),
    ("sample", "everything"),
    ("sample", "snakemake"),
)
"""While which job, and what; after a random part of LONGEST seconds."""
LONGEST = {"train_segment": 120, "sample": 30}
RUN_SECONDS = 90 * 60
"""Far more than a run takes; it only ends one that hangs."""


def processes(root: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """The processes of the run in a checkout: number, command, environment."""
    needle = f"PYTHONPATH={root / 'workflow'}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            variables = (entry / "environ").read_bytes()
            if needle in variables or f":{needle.decode().partition('=')[2]}\0".encode() in variables:
                yield int(entry.name), (entry / "cmdline").read_bytes(), variables


def is_at(job: str, root: Path) -> bool:
    return any(f"deepscaler\0{job}\0".encode() in words for _, words, _ in processes(root))


def victims(what: str, root: Path, main: int, luck: random.Random) -> list[int]:
    if what == "snakemake":
        return [main]
    found = list(processes(root))
    if what == "everything":
        return [number for number, _, _ in found]
    workers = [number for number, _, variables in found if f"{reaper.VARIABLE}=".encode() in variables]
    return [luck.choice(workers)] if workers else []


def start(root: Path) -> "subprocess.Popen[bytes]":
    with (root / "mini.log").open("ab") as log:
        return subprocess.Popen(
            [*command(root), "mini"],
            cwd=root,
            env=environment(root),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def killed(root: Path, luck: random.Random) -> list[str]:
    """Run mini to its end through all kills; what was killed and when."""
    told, process, deadline = [], start(root), time.monotonic() + RUN_SECONDS
    for job, what in KILLS:
        while not is_at(job, root):
            assert time.monotonic() < deadline, f"{job} never came"
            if process.poll() is not None:
                assert process.returncode != 0, f"mini was over before {job} came: {told}"
                process = start(root)
            time.sleep(0.2)
        delay = luck.uniform(0, LONGEST[job])
        time.sleep(delay)
        chosen = victims(what, root, process.pid, luck)
        for number in chosen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        told.append(f"{what} ({len(chosen)} processes), {delay:.0f} s after {job} was seen")
        if what != "a worker":
            process.wait()
            process = start(root)
    while process.wait(deadline - time.monotonic()) != 0:  # the job of the killed worker failed
        process = start(root)
    return told


@pytest.fixture(scope="session")
def disturbed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("killed") / "checkout"
    copy_checkout(root, copy)
    print(*killed(copy, random.Random(os.environ["DEEPSCALER_KILLS"])), sep="\n")
    return copy


def test_a_run_killed_five_times_is_equal_to_the_byte(mini_run: Any, disturbed: Path) -> None:
    whole = digests(mini_run.results, mini_run.work)
    resumed = digests(disturbed / "results" / "mini", disturbed / "work" / "mini")
    kinds = {Path(name).suffix for name in whole}
    assert {".safetensors", ".parquet", ".csv", ".png", ".pdf", ".ipynb", ".jsonl", ".json"} <= kinds
    of_another_commit = ["settings.yaml"] if "DEEPSCALER_MINI_RUN" in os.environ else []  # a copy has no commit
    assert [name for name in differences(whole, resumed) if name not in of_another_commit] == []
