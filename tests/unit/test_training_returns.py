"""Returns of a micro-batch at once: the bits that OpenRLHF's own loop gives, which is asked where they would differ."""

import ast
from collections.abc import Callable
from typing import Any

import pytest
import torch
from deepscaler.training.openrlhf import returns
from deepscaler.training.openrlhf.parser import installed


def upstreams_loop() -> Callable[..., torch.Tensor]:
    """Out of the pinned OpenRLHF's source, which takes seconds to import."""
    path = installed() / "trainer" / "ppo_utils" / "experience_maker.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    [loop] = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "get_cumulative_returns"
    ]
    loop.decorator_list = []
    names: dict[str, Any] = {"torch": torch, "Tuple": tuple}
    exec(compile(ast.Module([loop], []), str(path), "exec"), names)
    return names["get_cumulative_returns"]


class Module:
    """Upstream's module, its loop counted."""

    def __init__(self) -> None:
        loop = self.loop = upstreams_loop()
        counts = self.counts = [0]

        class RemoteExperienceMaker:
            def get_cumulative_returns(self, *arguments: Any) -> torch.Tensor:
                counts[0] += 1
                return loop(self, *arguments)

        self.RemoteExperienceMaker = RemoteExperienceMaker
        returns.at_once(self)

    @property
    def asked(self) -> int:
        return self.counts[0]


@pytest.fixture(scope="module")
def module() -> Module:
    return Module()


def bits(tensor: torch.Tensor) -> list[int]:
    return tensor.contiguous().view(torch.int16 if tensor.element_size() == 2 else torch.int32).flatten().tolist()


def made(seed: int, *, per_sample: int = 1, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Padded samples of several lengths, the reward at each one's end and, where there are more, anywhere."""
    generator = torch.Generator().manual_seed(seed)
    samples, tokens = 7, 90
    mask, rewards = torch.zeros(samples, tokens, dtype=torch.long), torch.zeros(samples, tokens, dtype=dtype)
    for sample in range(samples):
        start = int(torch.randint(0, 20, (1,), generator=generator))
        end = int(torch.randint(start + 5, tokens, (1,), generator=generator))
        mask[sample, start : end + 1] = 1
        rewards[sample, end] = torch.randn(1, generator=generator).to(dtype)
        for _ in range(per_sample - 1):
            rewards[sample, int(torch.randint(start, end, (1,), generator=generator))] = 0.1
    return rewards, mask


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("seed", range(5))
def test_the_same_bits_without_the_loop(module: Module, seed: int, dtype: torch.dtype) -> None:
    rewards, mask = made(seed, dtype=dtype)
    rewards[0] = 0  # an answer without a reward
    rewards[1] = -rewards[1].abs()
    before = module.asked
    maker = module.RemoteExperienceMaker()
    for action_mask in (mask, None):
        found = maker.get_cumulative_returns(rewards, action_mask, 1.0)
        assert bits(found) == bits(module.loop(maker, rewards, action_mask, 1.0))
    assert module.asked == before


@pytest.mark.parametrize(("gamma", "per_sample"), [(0.99, 1), (1.0, 3)])
def test_upstream_is_asked_where_the_order_counts(module: Module, gamma: float, per_sample: int) -> None:
    rewards, mask = made(3, per_sample=per_sample)
    before = module.asked
    maker = module.RemoteExperienceMaker()
    found = maker.get_cumulative_returns(rewards, mask, gamma)
    assert module.asked == before + 1
    assert bits(found) == bits(module.loop(maker, rewards, mask, gamma))
