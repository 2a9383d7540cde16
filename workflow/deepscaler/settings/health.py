"""Bounds within which a training run is healthy: `training.health` of a scale.

Their values, each with its reason, are in config/defaults/scale.yaml.
"""

from pydantic import Field

from deepscaler.settings.base import Strict


class Health(Strict):
    """A window's mean is judged where a single step says little; a step alone where one is enough."""

    enabled: bool
    """Whether it is used at all."""
    window: int = Field(ge=2)
    """Steps."""
    patience: int = Field(ge=1)
    """Steps in a row beyond a bound before a single step's value stops the run."""

    reward_fall: float = Field(gt=0, lt=1)
    """Tells below this share of the stage's best window."""
    reward_drop: float = Field(gt=0, lt=1)
    """Stops below this share of the stage's best window."""
    reward_floor: float = Field(ge=0)
    """Stops at or below."""
    length_drop: float = Field(gt=0, lt=1)
    """Stops below this share of the stage's longest window."""
    truncated_rise: float = Field(gt=1)
    """Tells, at this multiple of the stage's lowest window, that the stage may be spent."""
    truncated_points: float = Field(ge=0)
    """The rise must have this size too."""
    truncated_max: float = Field(gt=0, le=1)
    """Stops above."""

    kl_warn: float = Field(gt=0)
    """From the reference, a token."""
    kl_max: float = Field(gt=0)
    """A step above it counts against the run."""
    vllm_kl_warn: float = Field(gt=0)
    """Of the sampler's from the trainer's probabilities."""
    vllm_kl_max: float = Field(gt=0)
    """A step above it counts against the run: engine and trainer differ."""
    grad_norm_warn: float = Field(gt=1)
    """Multiple of the window's median."""
    grad_norm_max: float = Field(gt=0)
    """A step above it counts against the run."""
    entropy_min: float = Field(ge=0)
    """Tells below. In nats."""
    entropy_max: float = Field(gt=0)
    """Stops above. In nats."""
