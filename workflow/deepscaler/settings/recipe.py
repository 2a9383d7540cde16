"""A training recipe: every hyperparameter that moves a result, and nothing about machines. config/recipes/*.yaml."""

from typing import Literal

from pydantic import Field, model_validator

from deepscaler.reward.verdicts import Mode
from deepscaler.settings.base import Name, Strict, Word
from deepscaler.settings.grading import Grading


class Optimizer(Strict):
    learning_rate: float = Field(gt=0)
    betas: tuple[float, float]
    epsilon: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    schedule: Literal["constant", "constant_with_warmup", "cosine_with_min_lr", "linear"]
    warmup_ratio: float = Field(ge=0, le=1)
    """Share of a stage's updates over which the learning rate rises; `constant` alone has no rise."""
    max_grad_norm: float = Field(gt=0)


class Kl(Strict):
    coefficient: float = Field(ge=0)
    estimator: Literal["k1", "k2", "k3"]
    in_loss: bool


class Advantage(Strict):
    estimator: Literal["group_norm", "dr_grpo", "rloo", "reinforce_baseline"]
    std_normalisation: bool
    importance_correction: Literal["none", "token", "sequence"]
    """Weigh by trainer's over sampler's probability, whose kernels differ: each token, or a sequence's mean."""
    importance_bounds: Literal["mask", "clip"]
    """Outside of the range: drop, or clamp (tokens only)."""
    importance_range: tuple[float, float]

    @model_validator(mode="after")
    def sequences_are_masked(self) -> "Advantage":
        if self.importance_correction == "sequence" and self.importance_bounds == "clip":
            raise ValueError("importance_bounds `clip` is for tokens; a sequence can only be masked")
        return self


class Rollout(Strict):
    prompts_per_step: int = Field(gt=0)
    samples_per_prompt: int = Field(gt=1)
    temperature: float = Field(gt=0)
    top_p: float = Field(gt=0, le=1)
    max_prompt_tokens: int = Field(gt=0)
    limit: Literal["response", "sequence"]
    """What a stage's `max_new_tokens` bounds: the response, or prompt and response together."""


class Reward(Strict):
    mode: Mode
    truncated: float | None = Field(default=None, le=1)
    """What an answer cut at the limit gets: its reward times this, or, if negative, this. None leaves its reward."""
    overlong_buffer: int | None = Field(default=None, gt=0)
    """Tokens before the limit over which a penalty grows to `overlong_penalty` (DAPO's soft overlong punishment)."""
    overlong_penalty: float = Field(ge=0)
    grading: Grading


class Filtering(Strict):
    """Dynamic sampling: prompts whose mean reward lies outside the range are drawn again."""

    enabled: bool
    low: float
    high: float
    draws: float = Field(ge=1)
    """Prompts scheduled for each one that is kept; beyond them a segment's prompts come again."""


class Precision(Strict):
    """Of the trainer."""

    parameters: Literal["bf16", "fp16"]
    gradients: Literal["bf16", "fp32"]
    """In which they are summed."""


class Stage(Strict):
    name: Word
    max_new_tokens: int = Field(gt=0)
    steps: int = Field(gt=0)
    samples_per_prompt: int | None = None
    """Overrides the rollout's, as the paper's 16K and 24K stages do."""
    learning_rate: float | None = None
    warmup_ratio: float | None = Field(default=None, ge=0, le=1)
    kl_coefficient: float | None = Field(default=None, ge=0)
    clip: tuple[float, float] | None = None
    """These four override the optimizer's, the KL's and the recipe's own."""


class Recipe(Strict):
    name: Name
    description: str
    rollout: Rollout
    updates_per_step: int = Field(gt=0)
    epochs: Literal[1]
    """Passes over a step's samples. The learning rate's schedule and the plan's hours count on one."""
    optimizer: Optimizer
    advantage: Advantage
    kl: Kl
    clip: tuple[float, float]
    """Below and above 1: 0.2 and 0.2 keep the ratio within 0.8 … 1.2."""
    loss_aggregation: Literal["token", "sequence"]
    """Mean over all tokens of an update, or mean over sequences of their token means."""
    entropy_bonus: float | None = None
    """Coefficient; 0 only logs the entropy, None does not compute it."""
    reward: Reward
    filtering: Filtering
    precision: Precision
    stages: list[Stage] = Field(min_length=1)

    @model_validator(mode="after")
    def updates_divide_the_batch(self) -> "Recipe":
        for stage in self.stages:
            samples = self.rollout.prompts_per_step * self.samples_of(stage)
            if samples % self.updates_per_step:
                raise ValueError(f"updates_per_step {self.updates_per_step} does not divide {samples} samples a step")
        return self

    @model_validator(mode="after")
    def warm_ups_are_scheduled(self) -> "Recipe":
        ratios = [self.optimizer.warmup_ratio, *(stage.warmup_ratio or 0.0 for stage in self.stages)]
        if self.optimizer.schedule == "constant" and any(ratios):
            raise ValueError("schedule `constant` has no warm-up; `constant_with_warmup` has one")
        return self

    @model_validator(mode="after")
    def group_advantages_are_normalised(self) -> "Recipe":
        if self.advantage.estimator == "group_norm" and not self.advantage.std_normalisation:
            raise ValueError("group_norm divides by the group's deviation; without it, the estimator is dr_grpo")
        if self.filtering.draws > 1 and not self.filtering.enabled:
            raise ValueError("filtering.draws needs filtering.enabled")
        if len({stage.name for stage in self.stages}) != len(self.stages):
            raise ValueError("two stages have the same name")
        return self

    def samples_of(self, stage: Stage) -> int:
        return stage.samples_per_prompt or self.rollout.samples_per_prompt

    def kl_of(self, stage: Stage) -> float:
        return self.kl.coefficient if stage.kl_coefficient is None else stage.kl_coefficient

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)
