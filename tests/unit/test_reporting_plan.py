"""`deepscaler plan`: its JSON, its refit to a run, the miniature beside its ledger, and the budget that hangs on it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deepscaler import settings
from deepscaler.cli import build
from deepscaler.cost.assumptions import OPENRLHF
from deepscaler.cost.hardware import CARDS, R1_QWEN_1_5B
from deepscaler.cost.lengths import Lengths
from deepscaler.cost.planned import TOTAL, planned_gpu_hours
from deepscaler.cost.refit import refit
from deepscaler.cost.step import step_time
from deepscaler.cost.workload import case_of
from deepscaler.errors import UserError
from deepscaler.reporting.compute.plan import gpu_plan, plan, processor_plan
from deepscaler.training.watch import budget
from deepscaler.training.watch.budget import gpu_hours_used, require_approval, to_approve
from typer.testing import CliRunner


def test_json_of_the_paper() -> None:
    answer = CliRunner().invoke(build(), ["plan", "--scale", "paper", "--json"])
    data = json.loads(answer.output)
    hours = data["gpu_hours"]
    assert hours["low"] < hours["expected"] < hours["high"]
    assert data["calibration"]["published_gpu_hours"] == 3800
    assert data["calibration"]["predicted_gpu_hours"] == pytest.approx(3800, rel=0.10)
    assert data["training"]["gpu_hours"]["expected"] + data["evaluation"]["gpu_hours"]["expected"] == pytest.approx(
        hours["expected"], abs=2
    )
    assert data["dollars"]["expected"] == pytest.approx(hours["expected"] * 1.18, rel=0.01)
    assert [stage["stage"] for stage in data["training"]["stages"]] == ["8k", "16k", "24k"]
    for stage in data["training"]["stages"]:
        assert stage["step_seconds"] == pytest.approx(sum(stage["step_parts"].values()), abs=1)
        assert stage["memory_gb"]["verdict"] == "fits"
    assert data["miniature"]["predicted_seconds"]["expected"] > 0
    assert {"name", "value", "unit", "basis", "source"} == set(data["assumptions"][0])


@pytest.mark.parametrize("scale", settings.scale_names())
def test_every_scale_has_a_plan_in_text_and_json(scale: str) -> None:
    assert "In all:" in plan(scale=scale, changes=[], from_run=None, as_json=False)
    data = json.loads(plan(scale=scale, changes=[], from_run=None, as_json=True))
    assert data["gpu_hours"]["expected"] > 0
    assert data["calibration"]


def test_what_ifs_of_a_cpu_scale_are_refused() -> None:
    with pytest.raises(UserError, match="no what-ifs"):
        plan(scale="mini", changes=["gpus=8"], from_run=None, as_json=True)


def test_standard_what_ifs_are_a_table() -> None:
    data = gpu_plan("paper", ["standard"], None)
    changes = {" ".join(entry["changed"]): entry["change"] for entry in data["what_if"]}
    assert -0.35 < changes["gpus=16"] < -0.20
    assert -0.45 < changes["gpus=8"] < -0.30
    assert changes["filtering"] > 0.4


# Refit


def logged_rows(count: int, host: float, utilisation: float, fixed: float, wall: float) -> Iterator[dict[str, object]]:
    """Rows as a run of these properties would log them, by the model's own step time."""
    work = case_of("paper").stages[0]
    lengths = Lengths(8192, 4400.0, 0.10)
    truth = replace(
        OPENRLHF, host_seconds=host, flop_utilisation=utilisation, fixed_seconds=fixed, slack=1.0, sleeps=False
    )
    step = step_time(replace(work, lengths=lengths), R1_QWEN_1_5B, CARDS["a100"], truth)
    total = step.generation + step.log_probabilities + step.update + step.trainer + step.fixed
    start = datetime(2025, 2, 10, tzinfo=UTC)
    for number in range(1, count + 1):
        yield {
            **{"step": number, "total_step": number, "stage": "8k", "segment": "8k-1"},
            "time": (start + timedelta(seconds=number * total * wall)).isoformat(),
            "rollout/response_length_mean": lengths.mean,
            "rollout/truncated_rate": lengths.clipped,
            "timing/generation": step.generation,
            "timing/make_experience": step.log_probabilities + step.trainer,
            "timing/ppo_train": step.update,
            "timing/broadcast": step.fixed,
            "timing/step_total": total,
        }


def test_a_refit_finds_the_parameters_that_the_run_was_made_with() -> None:
    fitted = refit(case_of("paper"), logged_rows(12, 9e-3, 0.30, 40.0, 1.1), R1_QWEN_1_5B, CARDS["a100"])
    stack = fitted.case.stacks.expected
    assert stack.host_seconds == pytest.approx(9e-3, rel=0.01)
    assert stack.flop_utilisation == pytest.approx(0.30, rel=0.01)
    assert stack.fixed_seconds == pytest.approx(40.0)
    assert stack.slack == pytest.approx(1.1, rel=0.001)
    assert fitted.case.stages[0].lengths.mean == 4400
    assert fitted.case.stages[1].lengths == case_of("paper").stages[1].lengths


def test_plan_from_a_run_prices_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "8k-1-abc" / "metrics.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in logged_rows(100, 9e-3, 0.30, 40.0, 1.0)) + '{"half')
    data = gpu_plan("paper", [], tmp_path)
    assert data["from_run"]["fitted_on"] == "8k"
    assert data["gpu_hours"]["expected"] > gpu_plan("paper", [], None)["gpu_hours"]["expected"]
    left, all_hours = data["from_run"]["remaining_gpu_hours"], data["training"]["gpu_hours"]["expected"]
    first = data["training"]["stages"][0]["gpu_hours"]["expected"]
    assert left == pytest.approx(all_hours - first * 100 / 1040, abs=2)


def test_a_run_with_too_few_steps_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in logged_rows(4, 9e-3, 0.3, 40.0, 1.0)))
    with pytest.raises(UserError, match="5 steps with timings"):
        gpu_plan("paper", [], path)
    with pytest.raises(UserError, match="no such file"):
        gpu_plan("paper", [], tmp_path / "none")


# The miniature beside its ledger


def write_ledger(folder: Path, factor: dict[str, float]) -> Path:
    """compute.csv of a run that took what was predicted, times a factor for some rules."""
    lines = ["rule,stage,jobs,wall_hours"]
    for entry in processor_plan("mini", None)["rules"]:
        hours = entry["seconds"]["expected"] * factor.get(entry["rule"], 1.0) / 3600
        lines.append(f"{entry['rule']},{entry['stage']},{entry['jobs']},{hours:.6f}")
    lines += ["train_segment,all,4,9", "total,,60,99"]
    path = folder / "compute.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_prediction_and_ledger_side_by_side(tmp_path: Path) -> None:
    data = processor_plan("mini", write_ledger(tmp_path, {"sample": 2.0}))
    plain = processor_plan("mini", None)
    sample = next(entry for entry in plain["rules"] if entry["rule"] == "sample")["seconds"]["expected"]
    measured = sum(entry["measured_seconds"] for entry in data["rules"])
    assert measured == pytest.approx(plain["hours"]["expected"] * 3600 + sample, rel=0.01)
    assert data["comparison"]["largest_error"] == "sample"
    assert data["comparison"]["ratio"] == pytest.approx(1 - sample / measured, abs=0.01)
    # and the refit takes up what was wrong
    assert next(e for e in data["rules"] if e["rule"] == "sample")["seconds"]["expected"] == pytest.approx(
        2 * sample, rel=0.02
    )


def test_benchmark_files_are_a_ledger_too(tmp_path: Path) -> None:
    for rule, name, seconds in (
        ("fetch_source", "a", 2.0),
        ("fetch_source", "b", 4.0),
        ("train_segment", "8k-1", 99.0),
    ):
        (tmp_path / rule).mkdir(exist_ok=True)
        (tmp_path / rule / f"{name}.tsv").write_text(f"s\tcpu_time\tmax_rss\n{seconds}\t1\t10\n")
    rules = {(e["rule"], e["stage"]): e["measured_seconds"] for e in processor_plan("mini", tmp_path)["rules"]}
    assert rules["fetch_source", ""] == 6.0
    assert rules["train_segment", "8k"] == 99.0
    assert rules["sample", ""] is None


def test_the_miniature_was_predicted_within_thirty_percent(root: Path) -> None:
    """Of what it took on the machine of the reference results. The paces were fitted to a run there: this finds
    settings that change without the plan, or a reference that does."""
    ledger = root / "results" / "reference" / "mini" / "compute.csv"
    if not ledger.exists():
        pytest.skip("no reference results of the miniature")
    from deepscaler.cost.processor import estimate_processor
    from deepscaler.reporting.compute.ledger_input import read_ledger
    from deepscaler.reporting.compute.plan import compare

    found = read_ledger("mini", ledger)
    assert found
    assert 0.7 < compare(estimate_processor("mini"), found).ratio < 1.3


# The budget


@pytest.fixture
def approved(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Sets the paper's approved GPU-hours."""

    def approve(hours: float) -> None:
        monkeypatch.setattr(budget.settings, "approved_gpu_hours", lambda scale: hours)

    return approve


def test_nothing_starts_before_the_plan_is_approved(tmp_path: Path, approved) -> None:
    wanted = to_approve(planned_gpu_hours("paper")[TOTAL, ""].expected)
    approved(wanted - 200)
    with pytest.raises(UserError, match=rf"deepscaler approve --scale paper --gpu-hours {wanted:g}`"):
        require_approval("paper", "8k-1", tmp_path)
    approved(wanted)
    require_approval("paper", "8k-1", tmp_path)


def steps_on_disk(work: Path, segment: str, stage: str, steps: range, hours: float, folder: str = "runs") -> None:
    """Rows of steps of `hours` wall hours each."""
    name = f"{segment}-0123456789ab" if folder == "runs" else segment
    path = work / folder / name / "metrics.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        for step in steps:
            row = {"step": step, "total_step": step, "stage": stage, "segment": segment}
            handle.write(json.dumps({**row, "timing/step_total": hours * 3600}) + "\n")


def test_what_was_used_counts_repeated_steps_and_each_checkpoint_once(tmp_path: Path) -> None:
    steps_on_disk(tmp_path, "8k-1", "8k", range(1, 41), 0.1)
    steps_on_disk(tmp_path, "8k-1", "8k", range(21, 81), 0.1)  # went on from step 20 after a kill
    steps_on_disk(tmp_path, "8k-1", "8k", range(1, 81), 0.1, "checkpoints")  # the same steps again
    steps_on_disk(tmp_path, "16k-1", "16k", range(1, 11), 0.2, "checkpoints")  # its run folder is gone
    assert gpu_hours_used("paper", tmp_path) == pytest.approx(100 * 0.1 * 8 + 10 * 0.2 * 32)


def test_a_run_that_costs_more_than_planned_stops_at_a_checkpoint(tmp_path: Path, approved) -> None:
    steps_on_disk(tmp_path, "8k-1", "8k", range(1, 81), 4.0)  # 2,560 GPU-hours instead of 46
    approved(2590)
    with pytest.raises(UserError, match=r"segment 8k-2 would bring the total to 2,6\d\d GPU-hours \(2,560 are used\)"):
        require_approval("paper", "8k-2", tmp_path)
    require_approval("paper", "8k-1", tmp_path)  # has no steps left: putting its checkpoint in place is free
    approved(2700)
    require_approval("paper", "8k-2", tmp_path)


@pytest.mark.parametrize(
    ("hours", "number"), [(3029.2, 3100), (0.257, 0.26), (43.0, 43), (99.1, 100), (0, 0), (0.2, 0.2)]
)
def test_the_number_to_approve_is_enough_and_round(hours: float, number: float) -> None:
    assert to_approve(hours) == number
