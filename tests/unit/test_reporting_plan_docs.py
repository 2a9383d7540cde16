"""The figures of docs/plan.md are those of the code."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from deepscaler import settings
from deepscaler.cli import build
from deepscaler.cost.assumptions import ASSUMPTIONS
from deepscaler.cost.calibration import calibration
from deepscaler.cost.hardware import CARDS, R1_QWEN_1_5B
from deepscaler.cost.memory import training_memory
from deepscaler.cost.what_if import FLAGS, VALUES
from deepscaler.reporting.compute.plan import gpu_plan
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docs" / "plan.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["plan.md", "one-gpu.md"])
def test_what_commands_print(page: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "approved_gpu_hours", lambda scale: 0.0)  # this checkout's own is nobody's business
    text = (root / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n\$ deepscaler (.+)\n((?s:.+?))```", text)
    assert blocks
    for command, expected in blocks:
        answer = CliRunner().invoke(build(), shlex.split(command))
        assert answer.output == expected, f"`deepscaler {command}` prints something else: put it into docs/{page}"


def test_what_one_gpu_takes(root: Path) -> None:
    """The table of docs/one-gpu.md: memory as the plan has it, answers and batches as set."""
    rows = {
        cells[0]: cells[1:]
        for line in (root / "docs" / "one-gpu.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 3
    }
    for column, scale in enumerate(("one-gpu-80gb", "one-gpu-24gb")):
        stages, loaded = gpu_plan(scale, [], None)["training"]["stages"], settings.load_scale(scale)
        assert gpu_plan(scale, [], None)["warnings"] == []
        recipe = settings.load_recipe(loaded.training.recipe)
        cells = {name: cell[column] for name, cell in rows.items()}
        contexts = ", ".join(f"{stage.max_new_tokens:,}" for stage in recipe.stages)
        assert cells["contexts of the stages 8k, 16k, 24k"].startswith(f"{contexts}: ")
        assert cells["steps"] == ", ".join(str(stage.steps) for stage in recipe.stages)
        peaks = [f"{stage['memory_gb']['total']:.0f}" for stage in stages]
        assert cells["peak of training"] == f"{', '.join(peaks if column == 0 else peaks[:1])} GB"
        needs = f"{stages[0]['node_memory_gb']} GB; asks for {loaded.resources['train_segment'].mem_mb / 1e3:.0f}"
        assert cells["node's own memory"] == needs
        assert cells["answers to each test problem"] == str(loaded.evaluation.samples)


def test_the_cheap_layout(text: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a reader would make it: a scale of its own; no warning, and the prices that the page states."""
    shutil.copytree(root / "config", tmp_path / "config")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))
    [layout] = re.findall(r"```yaml\n(training:\n  layout:\n.+?)```", text, re.DOTALL)
    [recipe] = re.findall(r"```yaml\n(extends: deepscaler\n.+?)```", text, re.DOTALL)
    (tmp_path / "config/recipes/small-cache.yaml").write_text(recipe)
    prices = {}
    for name, more in (("paper", None), ("cheap", ""), ("cheaper", "  recipe: small-cache\n")):
        if more is not None:
            own = f"extends: paper\ndescription: One node throughout\n{layout}{more}"
            (tmp_path / f"config/scales/{name}.yaml").write_text(own)
        plan = gpu_plan(name, [], None)
        assert plan["warnings"] == []
        days = f"{plan['wall_hours']['expected'] / 24:.1f}"
        prices[name] = (f"{plan['gpu_hours']['expected']:,.0f}", days)
    assert {stage["gpus"] for stage in plan["training"]["stages"]} == {4, 8}
    [found] = re.findall(
        r"([\d,]+) GPU-hours\sin\sall\sinstead\sof\s([\d,]+),\s(\d+\.\d)\sdays\sinstead\sof\s(\d+\.\d)\.\s", text
    )
    (cheap, days), (usual, usual_days) = prices["cheap"], prices["paper"]
    assert found == (cheap, usual, days, usual_days)
    [found] = re.findall(r"then\s([\d,]+)\sGPU-hours\sand\s(\d+\.\d)\sdays", text)
    assert found == prices["cheaper"]


def test_memory_table(text: str) -> None:
    rows = re.findall(r"^\| ([\d,]+) \| (\d+) \| ([\d.]+) \| .* \| ([\d.]+) \| (\w+) \|$", text, re.MULTILINE)
    assert len(rows) == 6
    for tokens, gpus, logits, peak, verdict in rows:
        memory = training_memory(int(tokens.replace(",", "")), int(gpus), 3, 0.6, R1_QWEN_1_5B)
        found = (f"{memory.logits / 1e9:.1f}", f"{memory.total / 1e9:.1f}", memory.verdict(CARDS["a100"]))
        assert found == (logits, peak, verdict)


def test_assumptions_and_calibration(text: str) -> None:
    for entry in ASSUMPTIONS:
        assert f"| `{entry.name}` | {entry.value:g} {entry.unit} | {entry.basis} | {entry.source} |" in text
    assert f"gives {calibration().predicted_gpu_hours:,.0f} A100-hours" in text


def test_every_what_if_is_named(text: str) -> None:
    for word in (*VALUES, *FLAGS):
        assert re.search(rf"`{word}[=.`]", text), word


def test_bounds_of_health(text: str) -> None:
    """What is told and what stops, row by row: the numbers, not the words around them."""
    bounds = settings.load_scale("paper").training.health
    rows = re.findall(r"^\| ([^|]+) \|([^|]*)\|([^|]+)\|$", text.split("`training.health`")[1], re.MULTILINE)
    found = {what.split(",")[0]: (numbers(what), numbers(told), numbers(stopped)) for what, told, stopped in rows}
    steps = [bounds.window]
    assert found["reward"] == (steps, [bounds.reward_fall], [bounds.reward_drop, bounds.reward_floor])
    assert found["response length"][0] == steps
    assert bounds.length_drop == 0.25, "a quarter, in words"
    assert found["truncation"] == (steps, [bounds.truncated_rise, 4.2, 6.5], [100 * bounds.truncated_max])
    assert found["KL to the reference"] == ([], [bounds.kl_warn], [bounds.kl_max])
    assert found["`vllm_kl`"] == ([], [bounds.vllm_kl_warn], [bounds.vllm_kl_max])
    assert found["gradient norm"] == ([], [bounds.grad_norm_warn], [bounds.grad_norm_max])
    assert found["entropy"] == ([], [bounds.entropy_min], [bounds.entropy_max])
    assert bounds.patience == 2, "two steps in a row, in words"


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]
