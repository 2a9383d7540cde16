"""A scale that someone hands over spends nothing before its reader has approved it, and cannot approve itself."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from deepscaler import dag, settings
from deepscaler.cli import build
from deepscaler.cost.planned import SAMPLING, TOTAL, planned_gpu_hours
from deepscaler.errors import UserError
from deepscaler.settings.base import validate
from deepscaler.settings.scale import Budget
from deepscaler.training.watch import budget
from deepscaler.training.watch.metrics import SECONDS
from stand_in_driver import put_cuda
from typer.testing import CliRunner


@pytest.fixture
def checkout(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the settings and rules, where nothing is approved."""
    for name in ("config", "envs", "workflow/rules", "workflow/notebooks"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("*.local.yaml"))
    shutil.copyfile(root / "Snakefile", tmp_path / "Snakefile")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))
    return tmp_path


def approve(*arguments: str) -> None:
    answer = CliRunner().invoke(build(), ["approve", *arguments])
    if answer.exception:
        raise answer.exception


def test_a_scale_cannot_approve_itself(checkout: Path) -> None:
    scale = checkout / "config/scales/handed.yaml"
    scale.write_text("extends: paper\nbudget: { approved_gpu_hours: 99999 }\n")
    with pytest.raises(UserError, match="run `deepscaler approve"):
        settings.load_scale("handed")
    with pytest.raises(UserError, match="is no setting"):
        validate(Budget, {"approved_gpu_hours": 1.0, "dollars_per_gpu_hour": 1.0}, "x")


def test_sampling_waits_for_approval_as_training_does(checkout: Path) -> None:
    work = checkout / "work"
    for check in (budget.require_sampling, budget.require_plan):
        for scale in ("released", "paper"):
            with pytest.raises(UserError, match=f"0 are approved.*deepscaler approve --scale {scale} --gpu-hours"):
                check(scale, work / scale)
        check("mini", work / "mini")
    approve("--scale", "released", "--gpu-hours", "43")
    budget.require_sampling("released", work / "released")
    with pytest.raises(UserError, match="0 are approved"):
        budget.require_sampling("paper", work / "paper")


def test_samples_must_fit_beside_what_training_used(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = planned_gpu_hours("paper")
    approve("--scale", "paper", "--gpu-hours", str(planned[TOTAL, ""].expected))
    used = planned[TOTAL, ""].expected - planned[SAMPLING, ""].expected
    monkeypatch.setattr(budget, "gpu_hours_used", lambda scale, work: used - 1)
    budget.require_sampling("paper", checkout)
    monkeypatch.setattr(budget, "gpu_hours_used", lambda scale, work: used + 100)
    with pytest.raises(UserError, match="sampling would bring the total to"):
        budget.require_sampling("paper", checkout)


def test_an_approval_replaces_the_one_before_and_keeps_others(checkout: Path) -> None:
    for scale, hours in (("paper", "10"), ("released", "5"), ("paper", "20")):
        approve("--scale", scale, "--gpu-hours", hours)
    written = yaml.safe_load((checkout / "config/approved.local.yaml").read_text())
    assert written == {"paper": 20.0, "released": 5.0}
    assert settings.approved_gpu_hours("paper") == 20


@pytest.mark.parametrize("hours", ["nan", "inf", "-1", "1e999"])
def test_a_number_that_is_none_approves_nothing(hours: str, checkout: Path) -> None:
    with pytest.raises(UserError, match="gpu_hours"):
        approve("--scale", "paper", "--gpu-hours", hours)
    assert not (checkout / "config/approved.local.yaml").exists()
    (checkout / "config/approved.local.yaml").write_text(
        f"paper: .{hours}\n" if hours in ("nan", "inf") else "paper: x\n"
    )
    with pytest.raises(UserError, match="gpu_hours"):
        settings.approved_gpu_hours("paper")


@pytest.mark.timeout(300)
def test_no_job_is_started_before(checkout: Path) -> None:
    """Not even a fetch: what they would fetch is for what no one has approved. The card (a stand-in) would do."""
    smi = checkout.parent / "bin/nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho 'NVIDIA A100-SXM4-80GB, 81920, 500, 580.65.06, [N/A], 8.0'\n")
    smi.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DEEPSCALER_")}
    environment["PATH"] = f"{smi.parent}{os.pathsep}{environment['PATH']}"
    environment["LD_LIBRARY_PATH"] = str(put_cuda(checkout.parent / "driver"))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "released"]
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 1
    assert "0 are approved" in done.stdout + done.stderr
    assert "deepscaler approve --scale released" in done.stdout + done.stderr
    assert not (checkout / "logs").exists()
    assert not (checkout / "work").exists()


@pytest.mark.parametrize("seconds", [1e-9, -1e9, float("nan"), float("inf")])
def test_a_handed_work_folder_approves_nothing(seconds: float, checkout: Path) -> None:
    """Its metrics say that all steps were made, at a price of their own."""
    segment = dag.segments("paper")[0]
    folder = checkout / "work/paper/checkpoints" / segment.id
    folder.mkdir(parents=True)
    steps = range(segment.first + 1, segment.last + 1)
    rows = [{"segment": segment.id, "stage": segment.stage, "step": step, SECONDS: seconds} for step in steps]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    work = checkout / "work/paper"
    for check in (
        lambda: budget.require_plan("paper", work),
        lambda: budget.require_approval("paper", segment.id, work),
        lambda: budget.require_sampling("paper", work),
    ):
        with pytest.raises(UserError, match=r"0 are approved|can't be counted"):
            check()


@pytest.mark.parametrize("parameters", [".nan", "-1.5", ".inf", "0"])
def test_a_model_of_no_size_is_no_cheap_one(parameters: str, checkout: Path) -> None:
    """A plan that is no number is above no other."""
    path = checkout / "config/models.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"parameters: [\d.]+", f"parameters: {parameters}", text, count=1), encoding="utf-8")
    settings.systems.cache_clear()
    with pytest.raises(UserError, match="parameters"):
        settings.systems()
