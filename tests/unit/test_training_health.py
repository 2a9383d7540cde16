"""Health of a run, on traces shaped like real ones: what is healthy goes on, what is not stops, with a reason."""

import json
import math
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import own_settings
import pytest
from deepscaler import settings
from deepscaler.errors import JobError, UserError
from deepscaler.settings.health import Health
from deepscaler.training.watch import budget, guard
from deepscaler.training.watch.health import Finding, HealthMonitor
from deepscaler.training.watch.metrics import GRAD_NORM, KL, LENGTH, REWARD, TRUNCATED, VLLM_KL, Row

Trace = Callable[[int], dict[str, float]]
HEALTH: Health = settings.load_scale("paper").training.health


def between(points: list[tuple[int, float]], step: int) -> float:
    """A curve through points, straight between them and level beyond."""
    if step <= points[0][0]:
        return points[0][1]
    for (x, y), (next_x, next_y) in pairwise(points):
        if step <= next_x:
            return y + (next_y - y) * (step - x) / (next_x - x)
    return points[-1][1]


def rows(steps: int, change: Trace = lambda step: {}, seed: int = 7) -> list[Row]:
    """The paper's 8K stage: reward 0.46 to 0.58, length 5,500 to 3,500, truncation 30 % to 4.2 %, with its noise."""
    noise = random.Random(seed)
    made = []
    for step in range(1, steps + 1):
        row = {
            REWARD: between([(1, 0.46), (1040, 0.58)], step) + noise.gauss(0, 0.03),
            LENGTH: between([(1, 5500), (400, 3500), (1040, 3500)], step) * (1 + noise.gauss(0, 0.04)),
            TRUNCATED: max(0.0, between([(1, 0.30), (300, 0.042)], step) + noise.gauss(0, 0.005)),
            KL: between([(1, 0.0), (1040, 0.12)], step) * math.exp(noise.gauss(0, 0.2)),
            "policy_loss": noise.gauss(0, 0.01),
            "ppo_kl": abs(noise.gauss(0, 1e-4)),
            GRAD_NORM: 0.12 * math.exp(noise.gauss(0, 0.25)),
            "entropy_loss": between([(1, 0.6), (1040, 0.35)], step),
            VLLM_KL: 8e-4 * math.exp(noise.gauss(0, 0.3)),
        }
        place = {"step": step, "total_step": step, "stage": "8k", "segment": f"8k-{(step - 1) // 80 + 1}"}
        made.append({**place, **row, **change(step)})
    return made


def feed(on_step: Callable[[Row], None], trace: list[Row]) -> None:
    for row in trace:
        on_step(row)


def findings(trace: list[Row], bounds: Health | None = None) -> list[Finding]:
    """All findings until the first that stops the run."""
    monitor, found = HealthMonitor(bounds or HEALTH), []
    for row in trace:
        found += monitor.observe(row)
        if any(finding.level == "stop" for finding in found):
            break
    return found


@pytest.mark.parametrize("seed", range(5))
def test_the_papers_curves_are_healthy(seed: int) -> None:
    assert findings(rows(1040, seed=seed)) == []


def test_a_collapse_of_the_reward_is_caught_on_its_way_down() -> None:
    """Public reproductions collapsed between steps 300 and 950, within about a hundred steps."""

    def collapse(step: int) -> dict[str, float]:
        return {REWARD: between([(200, 0.52), (300, 0.0)], step)} if step > 200 else {}

    fall, stop = findings(rows(1040, collapse))
    assert (fall.level, fall.rule) == ("warn", "reward_fall")
    assert (stop.level, stop.rule) == ("stop", "reward_drop")
    assert 210 < fall.step < stop.step < 250
    assert "collapsed" in stop.message


def test_the_known_reproductions_collapse_is_stopped_before_its_end() -> None:
    """prime-rl's: at its best at step 800, 0.54 of that at step 950."""

    def collapse(step: int) -> dict[str, float]:
        return {REWARD: between([(800, 0.55), (950, 0.54 * 0.55)], step)} if step > 800 else {}

    found = findings(rows(950, collapse))
    assert (found[-1].level, found[-1].rule) == ("stop", "reward_drop")
    assert found[-1].step < 930


def test_a_run_that_is_never_rewarded_stops_after_a_window() -> None:
    (stop,) = findings(rows(100, lambda step: {REWARD: 0.0}))
    assert (stop.rule, stop.step) == ("reward_floor", 20)


def test_what_is_no_number_stops_at_once() -> None:
    (stop,) = findings(rows(100, lambda step: {GRAD_NORM: math.nan} if step == 57 else {}))
    assert (stop.level, stop.step) == ("stop", 57)
    assert GRAD_NORM in stop.message
    (stop,) = findings(rows(10, lambda step: {"policy_loss": -math.inf} if step == 3 else {}))
    assert stop.step == 3


def test_nan_read_back_from_the_metrics_file_stops_too() -> None:
    row = json.loads(json.dumps({**rows(1)[0], KL: math.nan}))
    assert findings([row])[0].level == "stop"


def test_weights_that_do_not_reach_the_sampler_stop_the_run_at_step_three() -> None:
    """Measured with loading switched off: 1e-4 at step 1, 0.12 from step 2 on."""
    found = findings(rows(50, lambda step: {VLLM_KL: 1e-4 if step == 1 else 0.12}))
    assert [(finding.level, finding.step) for finding in found] == [("warn", 2), ("stop", 3)]
    assert "do the weights reach the sampler?" in found[-1].message


def test_one_spike_is_a_warning() -> None:
    found = findings(rows(200, lambda step: {KL: 9.0, GRAD_NORM: 250.0} if step == 100 else {}))
    assert sorted((finding.level, finding.rule) for finding in found) == [
        ("warn", "grad_norm_warn"),
        ("warn", "kl_warn"),
    ]


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [(KL, 7.0, "kl_max"), (GRAD_NORM, 3000.0, "grad_norm_max"), ("entropy_loss", 4.5, "entropy_max")],
)
def test_what_stays_beyond_a_bound_stops_the_run(key: str, value: float, rule: str) -> None:
    found = findings(rows(200, lambda step: {key: value} if step >= 120 else {}))
    assert (found[-1].level, found[-1].rule, found[-1].step) == ("stop", rule, 121)


def test_rising_truncation_is_a_warning_that_the_stage_is_at_its_end() -> None:
    """The paper's sign: 4.2 % at its lowest, 6.5 % at step 1040."""

    def rise(step: int) -> dict[str, float]:
        return {TRUNCATED: between([(700, 0.042), (1040, 0.065)], step)} if step > 700 else {}

    found = findings(rows(1040, rise))
    assert {(finding.level, finding.rule) for finding in found} == {("warn", "truncated_rise")}
    assert 850 < found[0].step < 1000
    assert len(found) <= 2  # reported again only when there was none for a window


def test_a_collapse_of_the_length_stops_the_run() -> None:
    def shrink(step: int) -> dict[str, float]:
        return {LENGTH: between([(500, 3500), (540, 200)], step)} if step > 500 else {}

    assert findings(rows(700, shrink))[-1].rule == "length_drop"


def test_answers_that_are_all_cut_stop_the_run() -> None:
    assert findings(rows(100, lambda step: {TRUNCATED: 0.97}))[-1].rule == "truncated_max"


def test_a_new_stage_has_its_own_baselines() -> None:
    first, second = rows(60), rows(60, lambda step: {"stage": "16k", LENGTH: 900.0, REWARD: 0.2})
    assert findings(first + second) == []


def test_history_counts_and_is_not_reported_again() -> None:
    def collapse(step: int) -> dict[str, float]:
        return {REWARD: 0.2} if step > 100 else {}

    trace = rows(130, collapse)
    monitor = HealthMonitor(HEALTH, trace[:105])
    step = next(row["step"] for row in trace[105:] if monitor.observe(row))
    fall, stop = findings(trace)
    assert fall.step == 105  # in the history
    assert step == stop.step


def test_steps_that_are_repeated_after_a_kill_replace_those_before() -> None:
    bad = rows(120, lambda step: {REWARD: 0.2} if step > 100 else {})
    monitor = HealthMonitor(HEALTH, bad)
    assert [finding for row in rows(200)[100:] for finding in monitor.observe(row)] == []


def test_it_can_be_switched_off() -> None:
    assert findings(rows(50, lambda step: {REWARD: math.nan}), own_settings.changed(HEALTH, enabled=False)) == []


# In the training job


@pytest.fixture
def affordable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "require_approval", lambda *arguments: None)


def test_a_stop_stands_when_the_job_is_submitted_again(
    tmp_path: Path, affordable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, messages = tmp_path / "runs", []
    runs.mkdir()
    on_step = guard.guard("paper", "8k-1", runs, messages.append)
    trace = rows(10, lambda step: {"policy_loss": math.nan} if step == 4 else {})
    with pytest.raises(JobError, match=r"unhealthy at step 4: policy_loss is nan.*are kept"):
        feed(on_step, trace)
    assert messages == ["unhealthy at step 4: policy_loss is nan: not a number"]
    with pytest.raises(UserError, match="was stopped at step 4"):
        guard.guard("paper", "8k-1", runs)
    scale = settings.load_scale("paper")
    other = scale.training.model_copy(update={"health": own_settings.changed(HEALTH, patience=5)})
    monkeypatch.setattr(guard.settings, "load_scale", lambda name: scale.model_copy(update={"training": other}))
    guard.guard("paper", "8k-1", runs)
    assert list(runs.iterdir()) == []


def test_the_guard_knows_the_steps_from_before(tmp_path: Path, affordable: None) -> None:
    trace = rows(80, lambda step: {REWARD: 0.2} if step > 60 else {})
    folder = tmp_path / "runs" / "8k-1-0123456789ab"
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in trace[:70]))
    on_step = guard.guard("paper", "8k-1", folder.parent, lambda line: None)
    with pytest.raises(JobError, match="collapsed"):
        feed(on_step, trace[70:])


def test_the_guard_asks_for_approval_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget.settings, "approved_gpu_hours", lambda scale: 10.0)
    with pytest.raises(UserError, match="10 are approved"):
        guard.guard("paper", "8k-1", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
