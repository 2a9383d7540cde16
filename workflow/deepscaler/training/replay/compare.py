"""Logged numbers beside recomputed ones, and how far apart they may be."""

from collections.abc import Iterator
from dataclasses import dataclass

from deepscaler.training.collect_metrics import NAMES
from deepscaler.training.replay.steps import Numbers
from deepscaler.training.watch.metrics import POSITION, Row, is_time

NEAR = (1e-5, 1e-7)
"""Share of the larger value, and absolute. On one class of processor the weights come out equal to the bit, and means
differ in the order of their additions: by 6e-7 of the value, or 1e-8, in all 36 steps of the miniature."""
APART = (0.5, 2e-3)
"""On another class, whose kernels round in other places, so that the weights drift: a sixth of the gradient's norm and
a fifth of `ppo_kl` within six steps, where gradients were summed in another precision."""
FROM_SAMPLES = {
    "rollout/reward_mean",
    "rollout/reward_std",
    "rollout/response_length_mean",
    "rollout/truncated_rate",
    "rollout/num_samples",
    "reward",
    "score",
    "response_length",
    "total_length",
    "truncated",
    "group_reward_std",
    "response_clip_ratio",
    "well_formed",
    "dynamic_filtering_pass_rate",
    "actor_lr",
}
"""What no weight decides: near on every computer."""
NOT_RECOMPUTED = {"grading_killed"}
"""What the clock decides."""


@dataclass(frozen=True)
class Comparison:
    """One number of one step."""

    key: str
    logged: float | None
    recomputed: float | None
    near: bool

    @property
    def label(self) -> str:
        """As training.csv calls it."""
        return NAMES.get(self.key, self.key)

    def line(self, where: str) -> str:
        return f"{where}, {self.label}: {spelled(self.logged)} was logged, {spelled(self.recomputed)} follows"


def compared(row: Row, found: Numbers, same_class: bool) -> list[Comparison]:
    """All numbers of a row of metrics but its times, in its order, and those that should have been in it."""
    logged = {key: value for key, value in row.items() if key not in POSITION and not is_time(key)}
    keys = [key for key in (*logged, *sorted(found.keys() - logged.keys())) if key not in NOT_RECOMPUTED]
    return [
        Comparison(key, logged.get(key), found.get(key), is_near(key, logged.get(key), found.get(key), same_class))
        for key in keys
    ]


def is_near(key: str, logged: float | None, recomputed: float | None, same_class: bool) -> bool:
    if recomputed is None:
        return True  # a reward function's own log, which no code here knows
    if not isinstance(logged, int | float):
        return False
    relative, absolute = NEAR if same_class or key in FROM_SAMPLES else APART
    return bool(abs(logged - recomputed) <= max(absolute, relative * max(abs(logged), abs(recomputed))))


def table(comparisons: list[Comparison]) -> Iterator[str]:
    """For people: a number a line, those of training.csv first."""
    shown = [one for one in comparisons if one.recomputed is not None]
    shown.sort(key=lambda one: (one.key not in NAMES, list(NAMES).index(one.key) if one.key in NAMES else 0))
    yield f"  {'':24}{'logged':>24}{'recomputed':>24}"
    for one in shown:
        mark = "" if one.near else "  DIFFERS"
        yield f"  {one.label:24}{spelled(one.logged):>24}{spelled(one.recomputed):>24}{mark}"


def cells_differ(row: Row, cells: dict[str, str]) -> Iterator[str]:
    """A row of training.csv that does not say what the checkpoint's metrics do: column, cell, metrics."""
    for key, column in (*((key, key) for key in POSITION), *NAMES.items()):
        wanted = "" if row.get(key) is None else str(row[key])
        if (cell := cells.get(column)) != wanted:
            yield f"{column}: {cell} stands there, the checkpoint's metrics have {wanted}"


def spelled(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.10g}"
