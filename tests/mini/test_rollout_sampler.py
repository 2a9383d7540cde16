"""vLLM's own classes under the patches that make rollouts cheaper: the same tokens, with less done for them."""

from typing import Any

import pytest
import torch
from deepscaler.training.openrlhf.cpu import seeded_noise

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
ROWS, VOCABULARY = 5, 64


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    from vllm.v1.sample.ops import topk_topp_sampler

    sampler = topk_topp_sampler.TopKTopPSampler
    monkeypatch.setattr(sampler, "forward_cpu", sampler.forward_cpu)  # put back afterwards
    return topk_topp_sampler


def draw(module: Any, seeded: int, mode: str, top_p: float | None) -> tuple[list[list[int]], Any, bool]:
    """Tokens of four steps of the engine, what goes with them, and whether the process's generator was touched."""
    torch.manual_seed(1)
    sampler = module.TopKTopPSampler(mode)
    generators = {row: torch.Generator().manual_seed(row) for row in range(seeded)}
    before = torch.get_rng_state()
    found = []
    for step in range(4):
        logits = torch.randn(ROWS, VOCABULARY, generator=torch.Generator().manual_seed(step))
        p = None if top_p is None else torch.full((ROWS,), top_p)
        tokens, returned = module.TopKTopPSampler.forward_cpu(sampler, logits, generators, None, p)
        found.append(tokens.tolist())
    return found, returned, not torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("mode", ["raw_logprobs", "processed_logprobs"])
@pytest.mark.parametrize("top_p", [None, 0.9])
def test_the_same_tokens_without_noise_that_is_thrown_away(module: Any, mode: str, top_p: float | None) -> None:
    tokens, returned, touched = draw(module, ROWS, mode, top_p)
    assert touched, "the negative control: upstream draws noise for the whole batch first"
    seeded_noise.draw_once(module)
    tokens_then, returned_then, touched = draw(module, ROWS, mode, top_p)
    assert tokens_then == tokens
    assert not touched
    assert (returned is None) == (returned_then is None) == (mode == "raw_logprobs")
    assert returned is None or torch.equal(returned, returned_then)


def test_rows_without_a_seed_are_drawn_as_upstream_draws_them(module: Any) -> None:
    tokens = draw(module, ROWS - 1, "raw_logprobs", None)[0]
    seeded_noise.draw_once(module)
    tokens_then, _, touched = draw(module, ROWS - 1, "raw_logprobs", None)
    assert (tokens_then, touched) == (tokens, True)
