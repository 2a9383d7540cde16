"""A training recipe: every hyperparameter that moves a result, and nothing about machines. config/recipes/*.yaml."""

from typing import Literal

from pydantic import Field, model_validator

from deepscaler.reward.verdicts import Mode
from deepscaler.settings.base import Name, Strict, Word
from deepscaler.settings.grading import Grading


class Optimizer(Strict):
    learning_rate: float = Field(gt=0)
    """Its highest value."""
    betas: tuple[float, float]
    """Adam's."""
    epsilon: float = Field(gt=0)
    """Adam's."""
    weight_decay: float = Field(ge=0)
    """AdamW's."""
    schedule: Literal["constant", "constant_with_warmup", "cosine_with_min_lr", "linear"]
    """How the learning rate goes on after its warm-up."""
    warmup_ratio: float = Field(ge=0, le=1)
    """Share of a stage's updates over which the learning rate rises; `constant` alone has no rise."""
    max_grad_norm: float = Field(gt=0)
    """Gradients are scaled down to it."""


class Kl(Strict):
    coefficient: float = Field(ge=0)
    """Weight of the divergence from the reference model."""
    estimator: Literal["k1", "k2", "k3"]
    """By OpenRLHF's name."""
    in_loss: bool
    """In the loss, as GRPO has it, or else in the reward."""


class Advantage(Strict):
    estimator: Literal["group_norm", "dr_grpo", "rloo", "reinforce_baseline"]
    """By OpenRLHF's name."""
    std_normalisation: bool
    """Whether advantages are divided by their group's standard deviation."""
    importance_correction: Literal["none", "token", "sequence"]
    """Weigh by trainer's over sampler's probability, whose kernels differ: each token, or a sequence's mean."""
    importance_bounds: Literal["mask", "clip"]
    """Outside of the range: drop, or clamp (tokens only)."""
    importance_range: tuple[float, float]
    """Bounds of the ratio of trainer to sampler, beyond which `importance_bounds` holds."""

    @model_validator(mode="after")
    def sequences_are_masked(self) -> "Advantage":
        if self.importance_correction == "sequence" and self.importance_bounds == "clip":
            raise ValueError("importance_bounds `clip` is for tokens; a sequence can only be masked")
        return self


class Asynchronous(Strict):
    """Rollouts drawn while the policy trains, from weights that are some steps old."""

    enabled: bool
    """Whether it is used at all."""
    ahead: int = Field(gt=0)
    """Batches drawn ahead of the one that is trained; each may add a step to the age of the weights."""
    partial: bool
    """New weights reach samples that are being drawn, whose tokens then come from several policies."""

    @model_validator(mode="after")
    def partial_is_asynchronous(self) -> "Asynchronous":
        if self.partial and not self.enabled:
            raise ValueError("partial rollouts need asynchronous.enabled")
        return self


class Rollout(Strict):
    prompts_per_step: int = Field(gt=0)
    """Prompts of one step."""
    samples_per_prompt: int = Field(gt=1)
    """Answers a prompt, the group of an advantage."""
    temperature: float = Field(gt=0)
    """Of sampling."""
    top_p: float = Field(gt=0, le=1)
    """Of sampling: the likeliest tokens up to this share of the probability."""
    max_prompt_tokens: int = Field(gt=0)
    """A longer prompt leaves."""
    limit: Literal["response", "sequence"]
    """What a stage's `max_new_tokens` bounds: the response, or prompt and response together."""
    cache: Literal["auto", "fp8"]
    """Type of the sampler's keys and values; `auto`: that of its weights."""
    log_probs_every: int = Field(gt=0)
    """Of so many prompts of a step, one has the sampler's log-probabilities compared (`vllm_kl`); 1: all have."""
    asynchronous: Asynchronous


class Reward(Strict):
    mode: Mode
    """Which grader decides."""
    truncated: float | None = Field(default=None, le=1)
    """What an answer cut at the limit gets: its reward times this, or, if negative, this. None leaves its reward."""
    overlong_buffer: int | None = Field(default=None, gt=0)
    """Tokens before the limit over which a penalty grows to `overlong_penalty` (DAPO's soft overlong punishment)."""
    overlong_penalty: float = Field(ge=0)
    """Taken from the reward at the end of the buffer."""
    grading: Grading


class Filtering(Strict):
    """Dynamic sampling: prompts whose mean reward lies outside the range are drawn again."""

    enabled: bool
    """Whether it is used at all."""
    low: float
    """Prompts whose share of right samples is this or less are dropped."""
    high: float
    """Prompts whose share of right samples is this or more are dropped."""
    draws: float = Field(ge=1)
    """Prompts scheduled for each one that is kept; beyond them a segment's prompts come again."""


TargetModule = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""The linear layers of a Qwen2 block."""


class Lora(Strict):
    """Trains a low-rank change of frozen weights: W + alpha/rank · B·A, where only A and B are trained."""

    rank: int = Field(gt=0)
    """LoRA's rank."""
    alpha: int = Field(gt=0)
    """LoRA's scale: updates count alpha / rank."""
    dropout: float = Field(ge=0, lt=1)
    """Of the adapters' input, while an update is computed."""
    target_modules: list[TargetModule] = Field(min_length=1)
    """The layers that are adapted."""


class Precision(Strict):
    """Of the trainer."""

    parameters: Literal["bf16", "fp16"]
    """Number format of the parameters while training."""
    gradients: Literal["bf16", "fp32"]
    """In which they are summed."""


class Stage(Strict):
    name: Word
    """As it stands in checkpoints and tables."""
    max_new_tokens: int = Field(gt=0)
    """Longest answer."""
    steps: int = Field(gt=0)
    """Of this stage."""
    samples_per_prompt: int | None = None
    """Overrides the rollout's, as the paper's 16K and 24K stages do."""
    learning_rate: float | None = None
    """Its highest value."""
    warmup_ratio: float | None = Field(default=None, ge=0, le=1)
    """Share of a stage's steps in which the learning rate rises."""
    kl_coefficient: float | None = Field(default=None, ge=0)
    """In place of the recipe's, in this stage."""
    clip: tuple[float, float] | None = None
    """These four override the optimizer's, the KL's and the recipe's own."""


class Recipe(Strict):
    name: Name
    """As it stands in checkpoints and tables."""
    description: str
    """One line, shown by `plan` and in the report."""
    rollout: Rollout
    updates_per_step: int = Field(gt=0)
    """Optimizer steps for one step's samples."""
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
    lora: Lora | None = None
    """None trains all weights. A stage starts from merged weights, with adapters of its own."""
    precision: Precision
    stages: list[Stage] = Field(min_length=1)
    """In the order in which they train."""

    @model_validator(mode="after")
    def updates_divide_the_batch(self) -> "Recipe":
        for stage in self.stages:
            samples = self.rollout.prompts_per_step * self.samples_of(stage)
            if samples % self.updates_per_step:
                raise ValueError(f"updates_per_step {self.updates_per_step} does not divide {samples} samples a step")
        return self

    @model_validator(mode="after")
    def corrections_have_log_probs(self) -> "Recipe":
        every, correction = self.rollout.log_probs_every, self.advantage.importance_correction
        if every != 1 and correction != "none":
            raise ValueError(f"importance_correction `{correction}` needs all log-probabilities: log_probs_every 1")
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
