"""A rehearsal: a scale that tries every path of another one's run, and says go or no go."""

from pydantic import Field

from deepscaler.settings.base import Name, Strict


class Kill(Strict):
    """The training job that kills itself, once, as a scheduler or a broken node would."""

    segment: Name
    """As `8k-1`."""
    after_step: int = Field(gt=0)
    """Of its stage: SIGKILL as soon as the state of this step is saved."""


class Bounds(Strict):
    """Beyond them a rehearsal says no go."""

    times_planned: float = Field(gt=1)
    """Seconds of a step, of a save and of a start, as multiples of the plan's."""
    memory_share: float = Field(gt=0, le=1)
    """Of a card's memory, or on CPU cores of what the job asked for."""
    slowest_node: float = Field(gt=0, le=1)
    """Speed of the slowest node as a share of the fastest's."""
    vllm_kl: float = Field(gt=0)
    """Nats a token, of the sampler's from the trainer's probabilities; either sign."""
    disk_mb_per_second: float = Field(gt=0)
    """Of writing a state."""
    network_mb_per_second: float = Field(gt=0)
    """Of sending the weights to the samplers."""
    grading_killed: float = Field(ge=0, le=1)
    """Share of answers whose grading was stopped."""
    wall_time_share: float = Field(gt=0, le=1)
    """Of a job's wall time that a segment of the whole run may take, at the pessimistic end."""


class Rehearsal(Strict):
    of: Name
    """The scale that is rehearsed: its plan, budget and wall times are what is judged."""
    kill: Kill | None
    bounds: Bounds
