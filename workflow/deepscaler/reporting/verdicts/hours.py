"""The hours that verification may take, and has taken: GPU-hours, at a scale on CPUs core-hours."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from math import isinf
from pathlib import Path

from deepscaler import dag, settings
from deepscaler.cost.rounds import hours_of_rounds
from deepscaler.evaluation.partial import Partial
from deepscaler.reporting.file_names import path_of
from deepscaler.text import amount
from deepscaler.training.watch.budget import allowed, gpu_hours_used, refusal

LEDGER = "drawn.jsonl"
Batch = dict[str, dict[str, range]]
"""System → benchmark → rounds to draw."""


@dataclass
class Hours:
    """Of one scale. What a batch took is written down, and counts against what was approved for the scale."""

    scale: str
    budget: float | None
    """Of this run, as its user wants it."""
    taken: float = 0.0
    """By this run."""

    @cached_property
    def left(self) -> float:
        """Of the approval, before this run; infinite at a scale on CPUs, which needs none."""
        approved = allowed(self.scale)
        if isinf(approved):
            return approved
        before = sum(float(row["hours"]) for row in Partial(self.ledger).rows())
        trains = settings.load_scale(self.scale).training is not None
        return approved - before - (gpu_hours_used(self.scale, path_of(f"work/{self.scale}")) if trains else 0.0)

    @property
    def unit(self) -> str:
        return "core-hours" if settings.load_scale(self.scale).device == "cpu" else "GPU-hours"

    @property
    def ledger(self) -> Path:
        return settings.run_root() / "results" / self.scale / "verify" / LEDGER

    def price(self, batch: Batch) -> float:
        """By the plan: an engine a system, its benchmarks priced at as many rounds as the one that has most."""
        return sum(
            hours_of_rounds(self.scale, system, list(wanted), max(map(len, wanted.values())))
            for system, wanted in batch.items()
        )

    def allow(self, price: float) -> bool:
        """Whether a batch may still be drawn; a UserError where the approval has no room for the first one."""
        if not self.taken and price > self.left:
            left = f"{amount(max(0.0, self.left))} of the approved hours are left"
            what = f"the next samples take about {amount(price)} GPU-hours, and {left}"
            raise refusal(self.scale, what, allowed(self.scale) - self.left + price)
        return self.taken + price <= (self.left if self.budget is None else min(self.budget, self.left))

    @contextmanager
    def counted(self, system: str, wanted: dict[str, range]) -> Iterator[None]:
        """Write down what the drawing of a batch takes, also where it fails or is interrupted."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.take(system, wanted, (time.monotonic() - started) / 3600 * processors(self.scale))

    def take(self, system: str, wanted: dict[str, range], hours: float) -> None:
        self.taken += hours
        rounds = {name: [drawn.start, drawn.stop] for name, drawn in wanted.items()}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with Partial(self.ledger) as ledger:
            ledger.keep({"when": now, "system": system, "rounds": rounds, "hours": hours})


def processors(scale: str) -> int:
    """GPUs of an engine; at a scale on CPUs, the cores of its job."""
    loaded = settings.load_scale(scale)
    return loaded.evaluation.tensor_parallel if loaded.device == "gpu" else dag.needs(scale, "sample").cpus or 1
