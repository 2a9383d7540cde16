"""Bounds within which a training run is healthy, each with its reason: `training.health` of a scale."""

from pydantic import Field

from deepscaler.settings.base import Strict


class Health(Strict):
    """A window's mean is judged where a single step says little; a step alone where one is enough."""

    enabled: bool = True
    window: int = Field(default=20, ge=2)
    """Steps: the mean reward of 128 prompts alone swings by 4 points from step to step."""
    patience: int = Field(default=2, ge=1)
    """Steps in a row beyond a bound before a single step's value stops the run; a lone spike is only told."""

    reward_fall: float = Field(default=0.85, gt=0, lt=1)
    """Tells below this share of the stage's best window: the paper's own curves never fell by a tenth."""
    reward_drop: float = Field(default=0.7, gt=0, lt=1)
    """Stops below this share of the stage's best window. A public reproduction that collapsed (prime-rl's, steps 800 to
    950) kept 0.54 of its score on AIME; a window's mean of the reward varies by a hundredth."""
    reward_floor: float = Field(default=0.01, ge=0)
    """Stops at or below: nothing is rewarded, so nothing is learned. A wrong prompt template looks like this."""
    length_drop: float = Field(default=0.25, gt=0, lt=1)
    """Stops below this share of the stage's longest window. The paper's 8K stage shortened to 0.64 of its start."""
    truncated_rise: float = Field(default=1.4, gt=1)
    """Tells, at this multiple of the stage's lowest window, that the stage may be spent: the paper went from 8K to 16K
    when 4.2 % had become 6.5 %, a factor of 1.5."""
    truncated_points: float = Field(default=0.015, ge=0)
    """The rise must have this size too: 0.1 % to 0.2 % is nothing."""
    truncated_max: float = Field(default=0.9, gt=0, le=1)
    """Stops above: a window of answers that are nearly all cut off teaches length alone."""

    kl_warn: float = Field(default=1.0, gt=0)
    """From the reference, a token. With a coefficient of 0.001 it costs a thousandth of a reward at 1."""
    kl_max: float = Field(default=5.0, gt=0)
    """The k3 estimate is clamped at 10: beyond half of it, it says only that the policy is somewhere else."""
    vllm_kl_warn: float = Field(default=0.02, gt=0)
    """Of the sampler's from the trainer's probabilities: 1e-5 to 1e-4 in fp32, up to some 1e-3 between bf16 kernels."""
    vllm_kl_max: float = Field(default=0.05, gt=0)
    """0.12 was measured at the second step when the weights did not reach the sampler."""
    grad_norm_warn: float = Field(default=10.0, gt=1)
    """Multiple of the window's median."""
    grad_norm_max: float = Field(default=100.0, gt=0)
    """A hundred times the norm to which it is clipped: a step's direction is noise then."""
    entropy_min: float = Field(default=0.01, ge=0)
    """Tells below: the samples of a prompt become copies of each other."""
    entropy_max: float = Field(default=3.0, gt=0)
    """In nats, of at most 11.9 for 151,936 tokens; a reasoning model has 0.2 to 1. Above, text turns into noise."""
