"""The health of a run, judged step by step from its metrics; a breach of a bound stops it and keeps everything.

    monitor = HealthMonitor(settings.load_scale("paper").training.health)
    for finding in monitor.observe(row): …

A finding is reported once, and again only when its rule has had none for a window.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from deepscaler.settings.health import Health
from deepscaler.training.watch.metrics import (
    ENTROPY,
    GRAD_NORM,
    KL,
    LENGTH,
    POLICY_LOSS,
    REWARD,
    TRUNCATED,
    VLLM_KL,
    Row,
)

FINITE = (REWARD, LENGTH, KL, POLICY_LOSS, "ppo_kl", GRAD_NORM, ENTROPY, VLLM_KL)
"""Values that must be numbers wherever they are logged."""
WINDOWED = (REWARD, LENGTH, TRUNCATED, ENTROPY)
"""Values whose level is judged over a window."""


@dataclass(frozen=True)
class Finding:
    level: Literal["warn", "stop"]
    rule: str
    """The setting of training.health that it is about."""
    message: str
    step: int

    def __str__(self) -> str:
        return f"{'unhealthy' if self.level == 'stop' else 'note'} at step {self.step}: {self.message}"


class HealthMonitor:
    """Watches one run, stage after stage; each stage has its own baselines.

    `history` are rows of the same stage from before a restart: they count, and their findings are not reported again. A
    row whose step has been seen (repeated after a kill) replaces all from that step on.
    """

    def __init__(self, bounds: Health, history: Iterable[Row] = ()) -> None:
        self.bounds = bounds
        self.stage: object = None
        self.rows: list[Row] = []
        self.means: dict[str, list[tuple[int, float]]] = {}
        """Of every full window: the step at which it ends, and its mean."""
        self.last_reported: dict[str, int] = {}
        for row in history:
            self.observe(row)

    def observe(self, row: Row) -> list[Finding]:
        """What one more step shows. Empty for most."""
        if not self.bounds.enabled:
            return []
        if row.get("stage") != self.stage:
            self.stage, self.rows, self.last_reported = row.get("stage"), [], {}
            self.means = {key: [] for key in WINDOWED}
        self.rewind(int(row["step"]))
        self.rows.append(row)
        for key in WINDOWED:
            recent = (number(earlier, key) for earlier in self.rows[-self.bounds.window :])
            values = [value for value in recent if value is not None]
            if len(values) == self.bounds.window:
                self.means[key].append((self.step, fmean(values)))
        return [finding for check in CHECKS for finding in check(self) if self.is_new(finding)]

    def rewind(self, step: int) -> None:
        """Forget what was seen of a step and of all after it."""
        while self.rows and self.rows[-1]["step"] >= step:
            self.rows.pop()
        for means in self.means.values():
            while means and means[-1][0] >= step:
                means.pop()

    def is_new(self, finding: Finding) -> bool:
        before = self.last_reported.get(finding.rule)
        self.last_reported[finding.rule] = finding.step
        return finding.level == "stop" or before is None or finding.step - before > self.bounds.window

    # For the checks:

    @property
    def step(self) -> int:
        return int(self.rows[-1]["step"])

    def value(self, key: str) -> float | None:
        return number(self.rows[-1], key)

    def lasting(self, key: str, beyond: Callable[[float], bool]) -> bool:
        """Whether the last `patience` steps were all beyond a bound."""
        recent = [number(row, key) for row in self.rows[-self.bounds.patience :]]
        return len(recent) == self.bounds.patience and all(v is not None and beyond(v) for v in recent)

    def windows(self, key: str) -> list[float]:
        """The mean of every full window of the stage, in order; empty where the newest is not full."""
        means = self.means[key]
        return [mean for _, mean in means] if means and means[-1][0] == self.step else []


def number(row: Row, key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def non_finite(monitor: HealthMonitor) -> list[Finding]:
    row = monitor.rows[-1]
    bad = [key for key in FINITE if isinstance(row.get(key), float) and not math.isfinite(row[key])]
    if not bad:
        return []
    return [Finding("stop", "enabled", f"{', '.join(bad)} is {row[bad[0]]}: not a number", monitor.step)]


def reward(monitor: HealthMonitor) -> list[Finding]:
    means, bounds = monitor.windows(REWARD), monitor.bounds
    if not means:
        return []
    now, best = means[-1], max(means)
    if now <= bounds.reward_floor:
        what = f"the mean reward of {bounds.window} steps is {now:.3f}: nothing is rewarded"
        return [Finding("stop", "reward_floor", what, monitor.step)]
    if now < bounds.reward_drop * best:
        what = f"the reward has collapsed: {now:.3f} over {bounds.window} steps, from {best:.3f}"
        return [Finding("stop", "reward_drop", what, monitor.step)]
    if now < bounds.reward_fall * best:
        what = f"the reward falls: {now:.3f} over {bounds.window} steps, from {best:.3f}"
        return [Finding("warn", "reward_fall", what, monitor.step)]
    return []


def length(monitor: HealthMonitor) -> list[Finding]:
    means, bounds = monitor.windows(LENGTH), monitor.bounds
    if not means or means[-1] >= bounds.length_drop * max(means):
        return []
    what = f"responses have collapsed to {means[-1]:,.0f} tokens, from {max(means):,.0f}"
    return [Finding("stop", "length_drop", what, monitor.step)]


def truncation(monitor: HealthMonitor) -> list[Finding]:
    means, bounds = monitor.windows(TRUNCATED), monitor.bounds
    if not means:
        return []
    now, lowest = means[-1], min(means)
    if now > bounds.truncated_max:
        what = f"{now:.0%} of the answers of {bounds.window} steps are cut at the limit"
        return [Finding("stop", "truncated_max", what, monitor.step)]
    if now >= bounds.truncated_rise * lowest and now - lowest >= bounds.truncated_points:
        what = (
            f"truncation rises, from {lowest:.1%} to {now:.1%}: the stage may be spent (the paper went on to a longer "
            "context at 4.2 % to 6.5 %)"
        )
        return [Finding("warn", "truncated_rise", what, monitor.step)]
    return []


def divergence(monitor: HealthMonitor) -> list[Finding]:
    return above(monitor, KL, "the KL to the reference", "kl_warn", "kl_max")


def sampler_divergence(monitor: HealthMonitor) -> list[Finding]:
    what = "the KL between sampler and trainer (vllm_kl)"
    return above(monitor, VLLM_KL, what, "vllm_kl_warn", "vllm_kl_max", "; do the weights reach the sampler?")


def above(monitor: HealthMonitor, key: str, what: str, warn: str, most: str, question: str = "") -> list[Finding]:
    """Findings on a value with two bounds: one to warn at and one to stop at."""
    value, bounds = monitor.value(key), monitor.bounds
    if value is None:
        return []
    limit, notable = getattr(bounds, most), getattr(bounds, warn)
    if monitor.lasting(key, lambda v: v > limit):
        text = f"{what} is {value:.3g}, above {limit:g}, {bounds.patience} steps in a row{question}"
        return [Finding("stop", most, text, monitor.step)]
    if value > notable:
        return [Finding("warn", warn, f"{what} is {value:.3g}, above {notable:g}{question}", monitor.step)]
    return []


def gradient(monitor: HealthMonitor) -> list[Finding]:
    value, bounds = monitor.value(GRAD_NORM), monitor.bounds
    if value is None:
        return []
    if monitor.lasting(GRAD_NORM, lambda v: v > bounds.grad_norm_max):
        text = f"the gradient's norm is {value:,.0f}, above {bounds.grad_norm_max:g}, {bounds.patience} steps in a row"
        return [Finding("stop", "grad_norm_max", text, monitor.step)]
    earlier = [number(row, GRAD_NORM) for row in monitor.rows[-bounds.window - 1 : -1]]
    usual = [norm for norm in earlier if norm is not None]
    if len(usual) == bounds.window and value > bounds.grad_norm_warn * median(usual):
        text = f"the gradient's norm is {value:.3g}, {value / median(usual):.0f} times its median"
        return [Finding("warn", "grad_norm_warn", text, monitor.step)]
    return []


def entropy(monitor: HealthMonitor) -> list[Finding]:
    value, bounds = monitor.value(ENTROPY), monitor.bounds
    if value is None:
        return []
    if monitor.lasting(ENTROPY, lambda v: v > bounds.entropy_max):
        text = f"the entropy is {value:.2f} nats, above {bounds.entropy_max:g}: the text is turning into noise"
        return [Finding("stop", "entropy_max", text, monitor.step)]
    recent = monitor.windows(ENTROPY)
    if recent and recent[-1] < bounds.entropy_min:
        text = f"the entropy is {recent[-1]:.4f} nats over {bounds.window} steps: samples are becoming copies"
        return [Finding("warn", "entropy_min", text, monitor.step)]
    return []


CHECKS = (non_finite, reward, length, truncation, divergence, sampler_divergence, gradient, entropy)
