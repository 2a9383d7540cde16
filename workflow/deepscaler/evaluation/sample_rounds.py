"""Some more answers to every problem of some benchmarks, for those who look before they draw further.

A *round* is one answer to every problem: sample number n of each. Rounds are asked for with the scale's own requests,
seeds and engine, and kept with all other answers (evaluation/kept.py): what is drawn here `sample` finds, and vice
versa. An engine is started in a process of its own, which leaves a GPU as it was.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deepscaler.errors import DeepscalerError, JobError
from deepscaler.evaluation.kept import Row, store_of
from deepscaler.evaluation.requests import Request, plan, read_problems
from deepscaler.evaluation.sample import Sampled, draw_kept, sampled
from deepscaler.text import printable

Wanted = Mapping[Path, range]
"""Benchmark table → rounds, counted from 0; beyond the scale's own number of samples, too."""


def requests_of(asked: Sampled, wanted: Wanted) -> list[Request]:
    found: list[Request] = []
    for path, rounds in wanted.items():
        protocol = replace(asked.protocol, samples=rounds.stop)
        found += [r for r in plan(read_problems([path]), protocol, asked.tokenizer) if r.sample in rounds]
    return found


def kept_answers(asked: Sampled, output: Path, requests: list[Request]) -> dict[str, Row]:
    """Request id → answer, of those that were drawn at any time. `output`: a shard of the system's samples."""
    return asked.kept(store_of(asked.scale, asked.system, output), requests).find(requests)


def draw_rounds(scale: str, system: str, model: Path, wanted: Wanted, output: Path) -> None:
    """Draw what is missing of some rounds, by an engine in a process of its own; what it prints goes to stderr."""
    sys.stdout.flush()
    work = (scale, system, model, dict(wanted), output)
    process = multiprocessing.get_context("spawn").Process(target=in_own_process, args=work)
    process.start()
    try:
        process.join()
    finally:
        if process.is_alive():  # interrupted: what was drawn is kept
            process.terminate()
            process.join()
    if process.exitcode:
        raise JobError(f"sampling {system} failed", None, "its own message stands above; what was drawn is kept")


def in_own_process(scale: str, system: str, model: Path, wanted: Wanted, output: Path) -> None:
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        asked = sampled(scale, system, model)
        draw_kept(asked, store_of(scale, system, output), requests_of(asked, wanted))
    except DeepscalerError as error:
        print(printable(f"deepscaler: {error}"), file=sys.stderr)
        sys.exit(error.exit_code)
