"""What the processes that train a segment need to know: its first and last step, and where rows and rollouts go.

It is passed in the environment, because OpenRLHF's command has no flags for it.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

VARIABLE = "DEEPSCALER_SEGMENT"


@dataclass(frozen=True)
class Bounds:
    """Steps first+1 … last of a stage."""

    stage: str
    segment: str
    first: int
    last: int
    total_before: int
    """Steps of earlier stages: total step = total_before + step."""
    scheduler_steps: int
    """Optimizer updates of the whole stage, the horizon of the learning rate's schedule."""
    cycle_prompts: bool
    """Read the prompt file again from its start when it runs out, as dynamic filtering may make it."""
    metrics: str
    """File that the rows are appended to."""
    rollouts: str | None
    """Folder that each step's rollouts are written to; None where they are not kept."""
    measured: str | None = None
    """Folder for the seconds and the peak memory of each phase; None where they are not noted."""
    weights: str | None = None
    """File for what the checksums of the first sync showed; None where they are not compared."""
    asynchronous: bool = False
    """Whether rollouts are drawn in another process than the trainer's, while it trains."""
    cache: str = "auto"
    """Type of the sampler's keys and values."""
    max_sequences: int | None = None
    """Answers that an engine draws at once; None: vLLM's own choice."""
    log_probs_every: int = 1
    """Of so many prompts of a step, one comes with the sampler's log-probabilities."""
    stop: str | None = None
    """File whose being there asks to save at the end of the step and go no further (run/stop_request.py)."""

    def to_environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Bounds | None":
        text = environment.get(VARIABLE)
        return cls(**json.loads(text)) if text else None


@dataclass
class Progress:
    """The last step that is done, or whose rollouts are drawn; shared by the patches of one process."""

    step: int
