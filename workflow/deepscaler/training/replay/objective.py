"""GRPO's arithmetic, from the papers: advantages, the clipped objective, the estimate of KL, penalties for length.

Group normalisation: Shao et al. 2024 (DeepSeekMath), eq. 3; Dr. GRPO: Liu et al. 2025; RLOO: Ahmadian et al. 2024; the
ratio's clipping: Schulman et al. 2017, eq. 7, with two bounds as in DAPO (Yu et al. 2025, eq. 10); estimators of KL:
Schulman 2020; weights of sampler and trainer: Yao et al. 2025. All tensors are fp32.
"""

from typing import Any

from deepscaler.settings.recipe import Recipe

Tensor = Any
"""torch.Tensor, which is imported where it is used."""
TINY = 1e-9
"""Added to a group's deviation."""
MOST_KL = 10.0
"""Nats a token at which an estimate is cut."""
MOST_LOG_RATIO = 20.0


def penalised(reward: float, length: int, truncated: bool, most: int, recipe: Recipe) -> float:
    """A sample's reward after the penalties for length; `most` tokens are the stage's limit."""
    own = recipe.reward
    if own.overlong_buffer is not None:
        beyond = min(length - (most - own.overlong_buffer), own.overlong_buffer)
        reward -= max(beyond, 0) / own.overlong_buffer * own.overlong_penalty
    if own.truncated is not None and truncated:
        reward = own.truncated if own.truncated < 0 else reward * own.truncated
    return reward


def advantages(rewards: Tensor, recipe: Recipe) -> Tensor:
    """Of rewards of shape (prompts, samples), before any normalisation over the batch."""
    estimator, mean = recipe.advantage.estimator, rewards.mean(-1, keepdim=True)
    if estimator == "group_norm":
        return (rewards - mean) / (rewards.std(-1, keepdim=True) + TINY)
    if estimator == "rloo":
        others = (rewards.sum(-1, keepdim=True) - rewards) / (rewards.shape[-1] - 1)
        return rewards - others
    return rewards - mean


def normalised(per_token: list[Tensor], recipe: Recipe) -> list[Tensor]:
    """Over all tokens of the batch, where the estimator asks for it."""
    import torch

    if recipe.advantage.estimator != "reinforce_baseline":
        return per_token
    every = torch.cat(per_token)
    deviation = (every - every.mean()).square().mean().clamp(min=1e-8).sqrt()
    scale = deviation if recipe.advantage.std_normalisation else 1.0
    return [(values - every.mean()) / scale for values in per_token]


def kl_estimate(log_probs: Tensor, reference: Tensor, recipe: Recipe) -> Tensor:
    """Of KL(policy, reference) at each token."""
    ratio = log_probs - reference
    if recipe.kl.estimator == "k2":
        ratio = ratio.square() / 2
    elif recipe.kl.estimator == "k3":
        ratio = ratio.clamp(min=-MOST_KL)
        ratio = (-ratio).exp() - 1 + ratio
    return ratio.clamp(-MOST_KL, MOST_KL)


def clipped(log_probs: Tensor, old: Tensor, advantage: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The loss at each token, and where the ratio was cut."""
    import torch

    low, high = recipe.clip
    ratio = (log_probs - old).clamp(-MOST_LOG_RATIO, MOST_LOG_RATIO).exp()
    plain, cut = ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage
    return -torch.minimum(plain, cut), cut < plain


def importance(old: Tensor, sampled: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Of one sequence: the weight of each token's loss, and whether it was out of range, by token or for all of it."""
    import torch

    correction, (low, high) = recipe.advantage.importance_correction, recipe.advantage.importance_range
    ratio = (old - sampled).exp()
    if correction == "none":
        return torch.ones_like(ratio), ratio != 1
    if recipe.advantage.importance_bounds == "clip":
        return ratio.clamp(low, high), (ratio < low) | (ratio > high)
    measure = (old - sampled).mean(-1, keepdim=True).exp() if correction == "sequence" else ratio
    inside = (measure >= low) & (measure <= high)
    return torch.where(inside, ratio, 0.0), ~inside


def aggregated(values: list[Tensor], tokens: float, sequences: float, recipe: Recipe) -> Tensor:
    """A micro-batch's part of an update's mean: over its tokens, or over sequences of their tokens' means."""
    import torch

    if recipe.loss_aggregation == "token":
        return torch.cat(values).sum() / tokens
    return torch.stack([own.mean() for own in values]).sum() / sequences


def entropy(logits: Tensor) -> Tensor:
    """Nats, of each row of logits."""
    import torch

    return torch.logsumexp(logits, -1) - (torch.softmax(logits, -1) * logits).sum(-1)
