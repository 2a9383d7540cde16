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


def test_what_commands_print(text: str) -> None:
    blocks = re.findall(r"```console\n\$ deepscaler (.+)\n((?s:.+?))```", text)
    assert blocks
    for command, expected in blocks:
        answer = CliRunner().invoke(build(), shlex.split(command))
        assert answer.output == expected, f"`deepscaler {command}` prints something else: put it into docs/plan.md"


def test_the_cheap_layout(text: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a reader would make it: a scale of its own; no warning, and the price that the page states."""
    config = tmp_path / "config"
    shutil.copytree(root / "config", config)
    [block] = re.findall(r"```yaml\n(training:\n  layout:\n.+?)```", text, re.DOTALL)
    (config / "scales" / "cheap.yaml").write_text(f"extends: paper\ndescription: Eight GPUs throughout\n{block}")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))
    plan = gpu_plan("cheap", [], None)
    assert {stage["gpus"] for stage in plan["training"]["stages"]} == {8}
    assert plan["warnings"] == []
    days = plan["wall_hours"]["expected"] / 24
    assert f"{plan['gpu_hours']['expected']:,.0f} GPU-hours in all instead of" in text
    assert f"{days:.1f} days instead of" in text


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
    bounds = settings.load_scale("paper").training.health
    for sentence in (
        f"above {bounds.kl_warn:g} | above {bounds.kl_max:g}, two steps in a row",
        f"above {bounds.vllm_kl_warn:g} | above {bounds.vllm_kl_max:g}, two steps in a row",
        f"{bounds.grad_norm_warn:g} times its median | above {bounds.grad_norm_max:g}, two steps in a row",
        f"below {bounds.entropy_min:g} | above {bounds.entropy_max:g} nats, two steps in a row",
        f"{bounds.truncated_rise:g} times its lowest: the stage may be spent (the paper's 4.2 → 6.5 %) "
        f"| above {bounds.truncated_max:.0%}".replace("%", " %").replace("  %", " %"),
        f"mean of {bounds.window} steps",
        f"below {bounds.reward_fall:g} of the stage's best | below {bounds.reward_drop:g} of it; "
        f"at most {bounds.reward_floor:g}",
    ):
        assert sentence in text, sentence
    assert (bounds.patience, bounds.length_drop) == (2, 0.25)
