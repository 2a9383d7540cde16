"""The file that OpenRLHF loads by its path."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

END = "<｜end▁of▁sentence｜>"
PROMPT = "<｜begin▁of▁sentence｜><｜User｜>What is $1/4+1/4$? \\boxed{}<｜Assistant｜><think>\n"


@pytest.fixture(scope="module")
def reward(root: Path) -> ModuleType:
    """Loaded as `openrlhf/utils/agent.py` does it."""
    path = root / "workflow" / "deepscaler" / "reward" / "openrlhf.py"
    spec = importlib.util.spec_from_file_location("reward_func", str(path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_shapes_and_values(reward: ModuleType) -> None:
    responses = [f"so</think>\n\\boxed{{0.5}}{END}", "so</think> none" + END, "endless", f"x</think>\\boxed{{3}}{END}"]
    label = json.dumps(["2", r"\frac{1}{2}"])
    result = reward.reward_func([PROMPT + r for r in responses], [PROMPT] * 4, [label] * 4)
    assert result["rewards"].tolist() == result["scores"].tolist() == [1.0, 0.0, 0.0, 0.0]
    logs = {name: tensor.tolist() for name, tensor in result["extra_logs"].items()}
    assert logs["well_formed"] == [1.0, 0.0, 0.0, 1.0]
    assert logs["truncated"] == [0.0, 0.0, 1.0, 0.0]
    assert logs["grading_killed"] == [0.0] * 4


def test_one_sample_feeds_an_experience(reward: ModuleType) -> None:
    """What `samples_generator` does with a result: one reward and one number a log."""
    import torch

    result = reward.reward_func([PROMPT + f"a</think>\\boxed{{7}}{END}"], [PROMPT], ["7"])
    assert torch.tensor([result["rewards"]]).tolist() == [1.0]
    logs = {name: value.flatten()[0].item() for name, value in result["extra_logs"].items()}
    assert logs == {"well_formed": 1.0, "truncated": 0.0, "grading_killed": 0.0, "grading_cached": 0.0}


@pytest.mark.parametrize("label", ["7", "[7", '["7"]', "", "null", '{"a": 1}', "[1, 2]", None, 7])
@pytest.mark.parametrize("query", ["", PROMPT, "\x00", "a</think>\\boxed{", "a</think>\\boxed{9**9**9**9}", None, 3])
def test_never_raises(reward: ModuleType, query: object, label: object) -> None:
    result = reward.reward_func([query], [PROMPT], [label])
    assert result["rewards"].shape == (1,)
    assert result["rewards"].item() in (0.0, 1.0)


def test_unknown_settings_cost_the_reward_not_the_run(reward: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSCALER_REWARD_MODE", "lenient")
    result = reward.reward_func([PROMPT + f"a</think>\\boxed{{7}}{END}"], [PROMPT], ["7"])
    assert result["rewards"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("query", "prompt", "response", "truncated"),
    [
        ("PQ" + END, "P", "Q", False),
        ("PQ", "P", "Q", True),
        ("PQ" + END + END, "P", "Q", False),
        (
            "…head lost: the end of a prompt" + "Q<|im_end|>",
            "long head: the end of a prompt",
            "…head lost: the end of a promptQ",
            False,
        ),
        ("x" * 50 + "y" * 96 + "Q", "z" * 50 + "y" * 96, "Q", True),
    ],
)
def test_response_of(reward: ModuleType, query: str, prompt: str, response: str, truncated: bool) -> None:
    assert reward.response_of(query, prompt) == (response, truncated)
