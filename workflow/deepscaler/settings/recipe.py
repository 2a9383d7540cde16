"""A training recipe: every hyperparameter that moves a result, and nothing about machines. config/recipes/*.yaml."""

from typing import Literal

from pydantic import Field, model_validator

from deepscaler.settings.base import Name, Strict


class Optimizer(Strict):
    learning_rate: float = Field(gt=0)
    betas: tuple[float, float]
    weight_decay: float = Field(ge=0)
    schedule: Literal["constant", "cosine_with_min_lr", "linear"] = "constant"
    warmup_ratio: float = Field(default=0.0, ge=0, le=1)
    max_grad_norm: float = Field(default=1.0, gt=0)


class Kl(Strict):
    coefficient: float = Field(ge=0)
    estimator: Literal["k1", "k2", "k3"]
    in_loss: bool = True


class Advantage(Strict):
    estimator: Literal["group_norm", "dr_grpo", "rloo", "reinforce_baseline"]
    std_normalisation: bool = True
    importance_correction: Literal["none", "token", "sequence"] = "none"


class Rollout(Strict):
    prompts_per_step: int = Field(gt=0)
    samples_per_prompt: int = Field(gt=1)
    temperature: float = Field(gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_prompt_tokens: int = Field(gt=0)


class Reward(Strict):
    mode: Literal["paper", "strict"] = "paper"


class Filtering(Strict):
    """Dynamic sampling: prompts whose mean reward lies outside the range are drawn again."""

    enabled: bool = False
    low: float = 0.0
    high: float = 1.0


class Stage(Strict):
    name: Name
    max_new_tokens: int = Field(gt=0)
    steps: int = Field(gt=0)
    samples_per_prompt: int | None = None
    """Overrides the rollout's, as the paper's 16K and 24K stages do."""
    learning_rate: float | None = None


class Recipe(Strict):
    name: Name
    description: str
    rollout: Rollout
    updates_per_step: int = Field(gt=0)
    optimizer: Optimizer
    advantage: Advantage
    kl: Kl
    clip: tuple[float, float]
    """Policy ratio's clip range below and above 1."""
    entropy_bonus: float | None = None
    reward: Reward = Reward()
    filtering: Filtering = Filtering()
    stages: list[Stage] = Field(min_length=1)

    @model_validator(mode="after")
    def updates_divide_the_batch(self) -> "Recipe":
        for stage in self.stages:
            samples = self.rollout.prompts_per_step * self.samples_of(stage)
            if samples % self.updates_per_step:
                raise ValueError(f"updates_per_step {self.updates_per_step} does not divide {samples} samples a step")
        return self

    def samples_of(self, stage: Stage) -> int:
        return stage.samples_per_prompt or self.rollout.samples_per_prompt

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)
