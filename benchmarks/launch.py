"""What a launch of OpenRLHF costs on a CPU until its first step is done, with processes forked and started anew.

    .venv/bin/python benchmarks/launch.py WORK [rounds]

WORK is a work folder of mini with its base model and prompts (`make mini` makes them); nothing in it is changed. Both
ways take turns, so that a busy computer is as busy for both. Run it by hand; prints a Markdown table.
"""

import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from deepscaler.training import train_segment
from deepscaler.training.launch import reaper
from deepscaler.training.launch.spec import RayCluster
from deepscaler.training.watch.metrics import Row

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class FirstStepError(Exception):
    """Ends a launch when it has shown what was asked."""


def measure(work: Path, forked: bool) -> tuple[float, float, float]:
    """Seconds, CPU-seconds and gigabytes (proportional set size) until the first step is done."""
    local = RayCluster.local
    changed = lambda *given: replace(local(*given), fork_workers=forked)  # noqa: E731
    RayCluster.local = changed  # type: ignore[method-assign]
    folder = Path(tempfile.mkdtemp(prefix="launch-"))
    started = time.monotonic()
    used = (0.0, 0.0)

    def first(_: Row) -> None:
        nonlocal used
        used = usage()
        raise FirstStepError

    try:
        train_segment.train_segment(
            scale_name="mini",
            segment_id="8k-1",
            parent=work / "models" / "mini-base" / "model.json",
            prompts=work / "prompts" / "8k-1.jsonl",
            runs=folder / "runs",
            output=folder / "out" / "checkpoint.json",
            on_step=first,
        )
    except FirstStepError:
        pass
    finally:
        RayCluster.local = local  # type: ignore[method-assign]
        shutil.rmtree(folder)
    return time.monotonic() - started, *used


def usage() -> tuple[float, float]:
    """CPU-seconds and gigabytes of all processes of this process's launch, and of no other's."""
    seconds = gigabytes = 0.0
    for number in reaper.carriers(own_token()):
        entry = Path("/proc") / str(number)
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            seconds += sum(map(int, fields[11:15])) / TICKS
            rollup = (entry / "smaps_rollup").read_text()
            gigabytes += int(rollup.partition("\nPss:")[2].split()[0]) / 1e6
        except OSError:
            continue
    return seconds, gigabytes


def own_token() -> str:
    """The token of the launch whose driver is a child of this process."""
    own = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    for child in own:
        for line in Path(f"/proc/{child}/environ").read_text(errors="replace").split("\0"):
            if line.startswith(f"{reaper.VARIABLE}="):
                return line.partition("=")[2]
    raise RuntimeError("no launch runs")


def main() -> None:
    work, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    results: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
    for _ in range(rounds):
        for forked in results:
            results[forked].append(measure(work, forked))
    print("| processes | seconds | CPU-seconds | GB |\n|---|---|---|---|")
    for forked, rows in results.items():
        cells = " | ".join(f"{median(column):.1f}" for column in zip(*rows, strict=True))
        print(f"| {'forked' if forked else 'started anew'} | {cells} |")


if __name__ == "__main__":
    main()
