"""What seeds, order and keeping of the rollouts cost in training, beside rollouts as upstream makes them.

    .venv/bin/python benchmarks/rollouts.py WORK [rounds]

WORK is a work folder of mini with its base model and prompts (`make mini` makes them); nothing in it is changed. Both
ways take turns, so that a busy computer is as busy for both. Run it by hand; prints a Markdown table.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import fmean

from deepscaler.training import train_segment
from deepscaler.training.watch.metrics import LENGTH, SAMPLES, Row
from launch import usage

UNSEEDED = Path(__file__).parents[1] / "tests" / "mini" / "unseeded"
GENERATION, STEP = "timing/generation", "timing/step_total"
LAST = 5


def measure(work: Path, seeded: bool) -> tuple[float, float, float, float]:
    """Of steps 2 to 5 of 8k-1: CPU-seconds and seconds a step, seconds and tokens a second of its rollouts."""
    folder = Path(tempfile.mkdtemp(prefix="rollouts-"))
    path = os.environ.get("PYTHONPATH")
    if not seeded:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(UNSEEDED), path]))
    rows, used = [], []

    def on_step(row: Row) -> None:
        if row["step"] <= LAST:  # after the last one, the launch may be over before its row is read
            rows.append(row)
            used.append(usage()[0])

    try:
        train_segment.train_segment(
            scale_name="mini",
            segment_id="8k-1",
            parent=work / "models" / "mini-base" / "model.json",
            prompts=work / "prompts" / "8k-1.jsonl",
            runs=folder / "runs",
            output=folder / "out" / "checkpoint.json",
            on_step=on_step,
        )
    finally:
        if not seeded:
            os.environ.pop("PYTHONPATH")
            os.environ.update({"PYTHONPATH": path} if path else {})
        shutil.rmtree(folder)
    later = rows[1:]
    generation = fmean(row[GENERATION] for row in later)
    tokens = fmean(row[LENGTH] * row[SAMPLES] for row in later)
    cpu = (used[-1] - used[0]) / len(later)
    return cpu, fmean(row[STEP] for row in later), generation, tokens / generation


def main() -> None:
    work, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    results: dict[bool, list[tuple[float, float, float, float]]] = {False: [], True: []}
    for turn in range(rounds):
        for seeded in (False, True) if turn % 2 == 0 else (True, False):
            results[seeded].append(measure(work, seeded))
    print(
        "| rollouts | CPU-seconds a step | seconds a step | of them rollouts | tokens a second |\n|---|---|---|---|---|"
    )
    for seeded, found in results.items():
        cells = " | ".join(f"{fmean(column):.2f}" for column in zip(*found, strict=True))
        print(f"| {'seeded, in order, kept' if seeded else 'as upstream makes them'} | {cells} |")


if __name__ == "__main__":
    main()
