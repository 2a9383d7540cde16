"""The parts of a rehearsal that need no engine: its settings, kill and refit, phases, and what a verdict makes of it.

The whole run and its sabotages are in tests/slurm/test_rehearsal.py.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from deepscaler import dag, settings
from deepscaler.cost.estimate import estimate
from deepscaler.cost.hardware import R1_QWEN_1_5B, card
from deepscaler.cost.ranges import Range
from deepscaler.cost.refit import refit_stages
from deepscaler.cost.step import step_time
from deepscaler.cost.workload import case_of
from deepscaler.dag import resources
from deepscaler.errors import JobError, UserError
from deepscaler.files import write_json
from deepscaler.reporting.rehearsal.checks_of_speed import weights
from deepscaler.reporting.rehearsal.evidence import Evidence
from deepscaler.reporting.rehearsal.finding import Finding, at_least, at_most
from deepscaler.reporting.rehearsal.require_go import require_go
from deepscaler.reporting.rehearsal.whole_run import WholeRun, price
from deepscaler.training.run.deepspeed_states import State
from deepscaler.training.run.rehearsed_kill import NOTE, rehearsed_kill
from deepscaler.training.run.run_folder import RunFolder
from deepscaler.training.watch.measured import Phase, append_phase, read_phases


def test_the_paper_is_rehearsed_in_an_hour_and_forty_gpu_hours():
    price = estimate(case_of("rehearsal"))
    assert price.gpu_hours.expected <= 40
    assert price.wall_hours.expected <= 1
    whole, tried = settings.load_scale("paper").training, settings.load_scale("rehearsal").training
    for stage, layout in whole.layout.items():
        assert tried.layout[stage] == layout.model_copy(update={"segment_steps": 2, "save_steps": 1})


def test_only_a_rehearsal_kills_itself(tmp_path):
    for scale in settings.scale_names():
        if not settings.load_scale(scale).rehearsal:
            for segment in dag.segments(scale):
                folder = folder_with_state(tmp_path / scale / segment.id, 1)
                rehearsed_kill(scale, segment, folder)()
                assert not (folder.path / NOTE).exists()


KILLED = """
import sys
from pathlib import Path
from deepscaler import dag
from deepscaler.training.run.rehearsed_kill import rehearsed_kill
from deepscaler.training.run.run_folder import RunFolder
rehearsed_kill("rehearsal", dag.segment("rehearsal", "16k-1"), RunFolder(Path(sys.argv[1])))()
print("lives")
"""


def folder_with_state(path: Path, step: int) -> RunFolder:
    folder = RunFolder(path)
    state = State.at(folder.states, step)
    state.folder.mkdir(parents=True)
    (state.folder / "part.txt").write_text("state")
    state.mark_complete(1, 3)
    return folder


def test_it_kills_itself_once_and_not_before_the_state_is_saved(tmp_path, root):
    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(root / "workflow")}
        command = [sys.executable, "-c", KILLED, str(folder)]
        return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)

    unsaved = RunFolder(tmp_path / "unsaved")
    unsaved.path.mkdir()
    assert run(unsaved.path).stdout == "lives\n"
    saved = folder_with_state(tmp_path / "saved", 1)
    assert run(saved.path).returncode == -9
    assert json.loads((saved.path / NOTE).read_text())["step"] == 1
    assert run(saved.path).stdout == "lives\n"


def test_all_nodes_of_a_rehearsal_are_checked():
    assert resources.gpus("rehearsal", "preflight", "16k") == (4, 8)
    assert resources.gpus("paper", "preflight", "16k") == (1, 8)
    assert resources.request("rehearsal", "preflight", "16k-1")["nodes"] == 4


@pytest.mark.parametrize(
    ("rehearsal", "message"),
    [
        ({"of": "papers"}, "papers"),
        ({"of": "rehearsal"}, "can't be rehearsed"),
        ({"of": "released"}, "can't be rehearsed"),
        ({"of": "mini"}, "can't be rehearsed"),
        ({"of": "paper", "kil": None}, "kil"),
    ],
)
def test_what_cannot_be_rehearsed_is_refused(tmp_path, monkeypatch, root, rehearsal, message):
    shutil.copytree(root / "config", tmp_path / "config")
    tried = {"extends": "rehearsal", "rehearsal": rehearsal}
    (tmp_path / "config/scales/tried.yaml").write_text(yaml.safe_dump(tried))
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))
    with pytest.raises(UserError, match=message):
        settings.load_scale("tried")


def rows_of(case, factor: float) -> list[dict[str, object]]:
    """Steps as the plan expects them, each part `factor` times as long."""
    rows = []
    for work in case.stages:
        step = step_time(work, R1_QWEN_1_5B, card("a100"), case.stacks.expected)
        for number in (1, 2):
            parts = {
                "timing/generation": factor * step.generation,
                "timing/make_experience": factor * (step.log_probabilities + step.trainer),
                "timing/ppo_train": factor * step.update,
                "timing/broadcast": factor * step.fixed,
            }
            rows.append(
                {"stage": work.name, "step": number, **parts, "timing/step_total": sum(parts.values()),
                 "rollout/response_length_mean": work.lengths.mean, "rollout/truncated_rate": work.lengths.clipped}
            )  # fmt: skip
    return rows


def test_a_run_that_goes_as_planned_is_priced_as_planned_and_a_slow_one_higher():
    tried, whole = case_of("rehearsal"), case_of("paper")
    refitted = [
        estimate(refit_stages(tried, whole, rows_of(tried, factor), R1_QWEN_1_5B, card("a100"), None, None)).training
        for factor in (1.0, 1.5)
    ]
    bare = replace(whole.stacks.expected, slack=1.0)  # rows without times show none
    planned = estimate(replace(whole, stacks=replace(whole.stacks, expected=bare))).training
    assert refitted[0].expected == pytest.approx(planned.expected, rel=0.02)
    assert refitted[1].expected == pytest.approx(1.5 * planned.expected, rel=0.1)
    assert all(price.low < price.expected < price.high for price in refitted)


def test_bounds_hold_on_their_own_side():
    assert at_most("x", "8k", 1.0, 1.0, "s").go
    assert not at_most("x", "8k", 1.1, 1.0, "s", advice="change it").go
    assert at_least("x", "8k", 1.0, 1.0, "s").go
    bad = at_least("x", "8k", 0.9, 1.0, "s", advice="change it")
    assert (bad.verdict, bad.reason) == ("no go", "x (8k): 0.9 s, bound ≥ 1 s; change it")
    assert at_most("x", "8k", float("nan"), 1.0, "s").go is False


def test_no_go_fails_the_target_and_names_each_reason(tmp_path):
    record, output = tmp_path / "rehearsal.json", tmp_path / "go.txt"
    write_json(record, {"verdict": "NO GO", "reasons": ["disk (8k): 1 MB/s", "steps (8k): 1"], "checks": []})
    with pytest.raises(JobError, match=r"NO GO: disk \(8k\): 1 MB/s; steps \(8k\): 1"):
        require_go(record=record, output=output)
    assert not output.exists()
    write_json(record, {"verdict": "GO", "reasons": [], "checks": [1, 2], "of": "paper", "written": "today"})
    assert require_go(record=record, output=output) == "GO: 2 checks of paper, today"


def test_phases_are_noted_a_file_a_process(tmp_path):
    phases = [Phase("update", rank, host, time.time(), 1.5, 2.5) for host in ("a", "b") for rank in (0, 1)]
    for phase in phases:
        append_phase(tmp_path / "measured", phase)
    assert sorted(path.name for path in (tmp_path / "measured").iterdir()) == [
        *("a-0.jsonl", "a-1.jsonl", "b-0.jsonl", "b-1.jsonl")
    ]
    assert list(read_phases(tmp_path / "measured")) == phases
    assert list(read_phases(tmp_path / "nothing")) == []


def test_the_price_is_held_against_what_is_approved_and_before_that_against_the_plan(monkeypatch):
    def judged(hours: float, approved: float) -> Finding:
        monkeypatch.setattr(settings, "approved_gpu_hours", lambda _: approved)
        spread = Range(0.8 * hours, hours, 1.2 * hours)
        return price("paper", WholeRun(spread, Range(80, 100, 120), Range(1, 2, 3), {}, {}))

    assert judged(119, 0).go
    over_plan = judged(121, 0)
    assert not over_plan.go
    assert "approve --scale paper --gpu-hours 130" in over_plan.advice
    assert judged(149, 150).go
    assert not judged(151, 150).go


def test_checksums_of_weights_are_judged_by_the_newest_launch_of_each_segment(tmp_path):
    def judged(**records: dict[str, object]) -> dict[str, Finding]:
        for segment, record in records.items():
            folder = RunFolder(tmp_path / "runs" / f"{segment.strip('_').replace('_', '-')}-0123")
            write_json(folder.path / "run.json", {})
            write_json(folder.weights, record)
        return {finding.where: finding for finding in weights(Evidence("rehearsal", tmp_path, tmp_path))}

    equal = {"tensors": 227, "engines": 32, "differing": []}
    found = judged(_8k_1=equal, _16k_1={**equal, "differing": ["a", "b", "c", "d"]})
    assert {stage: finding.verdict for stage, finding in found.items()} == {"8k": "go", "16k": "no go", "24k": "no go"}
    assert found["8k"].seen == "227 tensors, equal on 32"
    assert found["16k"].reason.startswith("weight checksum (16k): 227 tensors, 4 differ: a, b, c, bound all equal; the")
    assert found["24k"].seen == "not seen"
    assert judged(_16k_1=equal, _24k_1={**equal, "engines": 0})["16k"].go
    assert not judged()["24k"].go, "no engine was asked"


def test_a_line_that_was_cut_and_a_full_disk_end_no_run(tmp_path):
    folder, whole = tmp_path / "measured", Phase("save", 0, "a", 1.0, 2.0, 3.0)
    append_phase(folder, whole)
    with (folder / "a-0.jsonl").open("a") as handle:
        handle.write('{"phase": "upd')
    append_phase(folder, whole)
    assert list(read_phases(folder)) == [whole, whole]
    (tmp_path / "full").write_text("no folder can be made here")
    append_phase(tmp_path / "full", whole)
