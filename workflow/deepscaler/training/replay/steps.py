"""One step of training on samples that are given: its updates of the policy, and what OpenRLHF would log of it."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from deepscaler.settings.recipe import Recipe, Stage
from deepscaler.settings.scale import Layout
from deepscaler.training.openrlhf.measured_share import SHARE, means_of_share
from deepscaler.training.replay import objective
from deepscaler.training.replay.batches import scoring_batches, update_batches
from deepscaler.training.replay.policy import Learner, Sequence, log_probs
from deepscaler.training.watch.metrics import ENTROPY, GRAD_NORM, KL, POLICY_LOSS, VLLM_KL

Tensor = Any


@dataclass(frozen=True)
class Sample:
    """One sample that is trained on."""

    sequence: Sequence
    score: float
    """The grader's reward."""
    truncated: bool
    sampled: list[float] | None
    """The sampler's log-probabilities; None where they were not asked for."""


@dataclass
class Batch:
    """A step's samples, prompt after prompt, with what is computed of them before the first update."""

    samples: list[Sample]
    rewards: Tensor
    """After penalties, of shape (prompts, samples)."""
    old: list[Tensor] = field(default_factory=list)
    reference: list[Tensor] = field(default_factory=list)
    advantages: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Setting:
    """What decides a step, beside its samples and weights."""

    recipe: Recipe
    stage: Stage
    layout: Layout
    reference: Any
    """The model that the stage started from; None where nothing is measured from it."""

    @property
    def ranks(self) -> int:
        return self.layout.nodes * self.layout.gpus_per_node

    @property
    def temperature(self) -> float:
        return self.recipe.rollout.temperature


Numbers = dict[str, float]
"""What is logged, by OpenRLHF's names."""


def step(learner: Learner, samples: list[Sample], setting: Setting) -> tuple[Numbers, list[float]]:
    """Train one step; what is logged of it, and each sample's largest distance of sampler's and trainer's numbers."""
    import torch

    recipe = setting.recipe
    most = setting.stage.max_new_tokens
    rewards = [
        objective.penalised(sample.score, sample.sequence.response, sample.truncated, most, recipe)
        for sample in samples
    ]
    batch = Batch(samples, torch.tensor(rewards).reshape(-1, recipe.samples_of(setting.stage)))
    lengths = [len(sample.sequence.tokens) for sample in samples]
    order = score(learner, batch, lengths, setting)
    logged = {**of_samples(batch, lengths), **of_groups(batch)}
    batch.advantages = token_advantages(batch, setting, logged)
    logged |= train(learner, batch, order, lengths, setting)
    apart = [
        0.0 if sample.sampled is None else float((old - torch.tensor(sample.sampled)).abs().max())
        for old, sample in zip(batch.old, samples, strict=True)
    ]
    return logged, apart


def score(learner: Learner, batch: Batch, lengths: list[int], setting: Setting) -> list[int]:
    """Log-probabilities before the update, of policy and reference; the order that the samples have from then on."""
    import torch

    old: dict[int, Tensor] = {}
    reference: dict[int, Tensor] = {}
    batches = scoring_batches(lengths, setting.ranks, setting.layout.max_tokens_per_gpu)
    for numbers in batches:
        sequences = [batch.samples[number].sequence for number in numbers]
        for model, found in ((learner.model, old), (setting.reference, reference)):
            if model is not None:
                with torch.no_grad():
                    taken = [pair[0].cpu() for pair in log_probs(model, sequences, setting.temperature)]
                found.update(zip(numbers, taken, strict=True))
    batch.old = [old[number] for number in range(len(batch.samples))]
    batch.reference = [reference.get(number, batch.old[number]) for number in range(len(batch.samples))]
    return [number for numbers in batches for number in numbers]


def of_samples(batch: Batch, lengths: list[int]) -> Numbers:
    """Means over samples."""
    import torch

    responses = torch.tensor([float(sample.sequence.response) for sample in batch.samples])
    truncated = mean([float(sample.truncated) for sample in batch.samples])
    reward = float(batch.rewards.mean())
    return {
        "rollout/reward_mean": reward,
        "rollout/reward_std": float(batch.rewards.flatten().std()),
        "rollout/response_length_mean": float(responses.mean()),
        "rollout/truncated_rate": truncated,
        "rollout/num_samples": float(len(batch.samples)),
        "reward": reward,
        "score": mean([sample.score for sample in batch.samples]),
        "response_length": float(responses.mean()),
        "total_length": mean([float(length) for length in lengths]),
        "truncated": truncated,
    }


def of_groups(batch: Batch) -> Numbers:
    return {"group_reward_std": float(batch.rewards.std(-1).mean())}


def token_advantages(batch: Batch, setting: Setting, logged: Numbers) -> list[Tensor]:
    """Of each token; where KL is a part of the reward, what is still to come of it counts against a token."""
    recipe = setting.recipe
    of_sample = objective.advantages(batch.rewards, recipe).flatten()
    found, returns = [], []
    for value, old, reference in zip(of_sample, batch.old, batch.reference, strict=True):
        tokens = value.expand(len(old)).clone()
        cost = objective.kl_estimate(old, reference, recipe) * recipe.kl.coefficient
        if recipe.kl.in_loss:
            cost = cost * 0
        found.append(tokens - cost.flip(0).cumsum(0).flip(0))
        returns.append(float(value - cost.sum()))
    logged["return"] = mean(returns)
    return objective.normalised(found, recipe)


class Log:
    """Values of micro-batches, averaged as upstream does: each counts by its tokens."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = defaultdict(float)
        self.tokens = 0

    def add(self, values: dict[str, Tensor], tokens: int) -> None:
        self.tokens += tokens
        for key, value in values.items():
            self.sums[key] += float(value.detach()) * tokens

    def means(self) -> Numbers:
        found = {key: value / self.tokens for key, value in self.sums.items()}
        return means_of_share(found)


def train(learner: Learner, batch: Batch, order: list[int], lengths: list[int], setting: Setting) -> Numbers:
    """The updates of a step."""
    recipe, log = setting.recipe, Log()
    plan = update_batches(order, lengths, setting.ranks, recipe.updates_per_step, setting.layout.max_tokens_per_gpu)
    norm = 0.0
    for shares in plan:
        tokens = sum(batch.samples[number].sequence.response for number in numbers_of(shares))
        sequences = sum(1 for _ in numbers_of(shares))
        for numbers in (numbers for share in shares for numbers in share):
            loss, values = micro_batch(learner, batch, numbers, (tokens, sequences), setting)
            learner.accumulate(loss)
            log.add(values, sum(batch.samples[number].sequence.response for number in numbers))
        norm = learner.update()
    found = log.means()
    for key in PARTS & found.keys():  # of an update's mean: upstream's mean of the parts, times their number
        found[key] *= setting.ranks * sum(len(shares[0]) for shares in plan) / len(plan)
    return {**found, GRAD_NORM: norm, "actor_lr": learner.rate}


PARTS = {POLICY_LOSS, KL, ENTROPY}


def numbers_of(shares: list[list[list[int]]]) -> Iterator[int]:
    return (number for share in shares for numbers in share for number in numbers)


def micro_batch(
    learner: Learner, batch: Batch, numbers: list[int], whole: tuple[int, int], setting: Setting
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of some samples as a part of their update's, and what is logged of it."""
    import torch

    recipe = setting.recipe
    taken = log_probs(learner.model, [batch.samples[number].sequence for number in numbers], setting.temperature)
    losses, cuts, kls, entropies, drifts, apart, filtered, measured = ([] for _ in range(8))
    for number, (now, logits) in zip(numbers, taken, strict=True):
        old, reference, advantage = (
            values[number].to(now.device) for values in (batch.old, batch.reference, batch.advantages)
        )
        given = batch.samples[number].sampled
        sampled = old if given is None else torch.tensor(given, device=now.device)
        loss, cut = objective.clipped(now, old, advantage, recipe)
        weight, outside = objective.importance(old, sampled, recipe)
        losses.append(weight * loss)
        cuts.append(cut.float())
        kls.append(objective.kl_estimate(now, reference, recipe))
        drifts.append((now - reference, old - now))
        apart.append(sampled - old)
        filtered.append(outside.float())
        measured.append(torch.full_like(old, float(given is not None)))
        if recipe.entropy_bonus is not None:
            entropies.append(objective.entropy(logits))
    policy = objective.aggregated(losses, *whole, recipe)
    total, values = policy, {POLICY_LOSS: policy}
    if recipe.kl.in_loss:
        kl = objective.aggregated(kls, *whole, recipe)
        total = total + kl * recipe.kl.coefficient
        values |= {KL: kl, "logprobs_diff": torch.cat([drift for drift, _ in drifts]).mean()}
    if recipe.entropy_bonus is not None:
        spread = objective.aggregated(entropies, *whole, recipe)
        total = total - spread * recipe.entropy_bonus if recipe.entropy_bonus else total
        values[ENTROPY] = spread
    values |= {
        "ppo_clip_ratio": torch.cat(cuts).mean(),
        "ppo_kl": torch.cat([drift for _, drift in drifts]).mean(),
        VLLM_KL: torch.cat(apart).mean(),
        "is_filter_ratio": torch.cat(filtered).mean(),
        SHARE: torch.cat(measured).mean(),
    }
    return total, values


def mean(values: list[float]) -> float:
    return sum(values) / len(values)
