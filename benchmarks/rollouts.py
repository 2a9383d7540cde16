"""What seeds, order and keeping of the rollouts cost in training, beside rollouts as upstream makes them.

    .venv/bin/python benchmarks/rollouts.py WORK [rounds]

WORK is a work folder of mini with its base model and prompts (`make mini` makes them); nothing in it is changed. Both
ways take turns, so that a busy computer is as busy for both. Seeded samples are the same each time, and longer or
shorter than others: so each round has another seed, and costs are told a token too. Run it by hand; prints a table.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

from deepscaler import settings
from deepscaler.training import train_segment
from deepscaler.training.watch.metrics import LENGTH, SAMPLES, Row
from launch import usage

UNSEEDED = Path(__file__).parents[1] / "tests" / "mini" / "unseeded"
GENERATION, STEP = "timing/generation", "timing/step_total"
LAST = 5


@contextmanager
def seed(number: int) -> Iterator[None]:
    """This checkout with another seed of scale mini."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in settings.project_root().iterdir():
            if path.name not in ("config", ".git"):
                (root / path.name).symlink_to(path)
        shutil.copytree(settings.project_root() / "config", root / "config")
        scale = root / "config" / "scales" / "mini.yaml"
        text = scale.read_text()
        assert "seed: 42" in text
        scale.write_text(text.replace("seed: 42", f"seed: {number}"))
        os.environ["DEEPSCALER_ROOT"] = folder
        settings.load_scale.cache_clear()
        try:
            yield
        finally:
            del os.environ["DEEPSCALER_ROOT"]


def measure(work: Path, seeded: bool) -> tuple[float, ...]:
    """Of steps 2 to 5 of 8k-1, a step: CPU-seconds, seconds, seconds of rollouts, tokens; CPU-ms and ms a token."""
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
    generation, took = fmean(row[GENERATION] for row in later), fmean(row[STEP] for row in later)
    tokens = fmean(row[LENGTH] * row[SAMPLES] for row in later)
    cpu = (used[-1] - used[0]) / len(later)
    return cpu, took, generation, tokens, 1000 * cpu / tokens, 1000 * took / tokens


def main() -> None:
    work, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    results: dict[bool, list[tuple[float, ...]]] = {False: [], True: []}
    for turn in range(rounds):
        for seeded in (False, True) if turn % 2 == 0 else (True, False):
            with seed(42 + turn):
                results[seeded].append(measure(work, seeded))
            print(seeded, [round(value, 3) for value in results[seeded][-1]], file=sys.stderr, flush=True)
    print("| rollouts | CPU-seconds a step | seconds a step | of them rollouts | tokens a step | CPU-ms a token |")
    print("|---|---:|---:|---:|---:|---:|")
    for seeded, found in results.items():
        cpu, took, generation, tokens, each, _ = (fmean(column) for column in zip(*found, strict=True))
        name = "seeded, in order, kept" if seeded else "as upstream makes them"
        print(f"| {name} | {cpu:.2f} | {took:.2f} | {generation:.2f} | {tokens:,.0f} | {each:.3f} |")
    ratios = [with_[4] / without[4] for without, with_ in zip(results[False], results[True], strict=True)]
    print(f"CPU a token, seeded to unseeded: {fmean(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
