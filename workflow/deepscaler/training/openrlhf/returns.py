"""Returns of a whole micro-batch at once, patched into OpenRLHF's experience maker in the trainer's process.

Upstream adds rewards up in a Python loop over the tokens of every padded micro-batch, in the one process that all GPUs
wait for: 13 s of a step at 8K and 58 s at 24K, by the lengths of the plan (benchmarks/host.py). Where nothing is
discounted and a sample has at most one reward, as GRPO's have, a cumulative sum from the end gives the same bits.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def at_once(module: Any) -> None:
    """Of openrlhf.trainer.ppo_utils.experience_maker."""
    maker = module.RemoteExperienceMaker
    one_by_one = maker.get_cumulative_returns

    def get_cumulative_returns(self: Any, rewards: "Tensor", action_mask: "Tensor | None", gamma: float) -> "Tensor":
        """`rewards` and `action_mask` of shape (samples, tokens); returns of that shape."""
        if gamma != 1 or rewards.ndim != 2:
            return one_by_one(self, rewards, action_mask, gamma)
        masked = rewards if action_mask is None else action_mask * rewards
        if bool((masked.count_nonzero(dim=1) > 1).any()):  # sums of several depend on their order and precision
            return one_by_one(self, rewards, action_mask, gamma)
        return masked.flip(1).cumsum(1, dtype=masked.dtype).flip(1).to(rewards.dtype)

    maker.get_cumulative_returns = get_cumulative_returns
