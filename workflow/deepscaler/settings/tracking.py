"""Where a training run's numbers are shown, beside this workflow's own figures: `tracking` of the site."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from deepscaler.settings.base import Strict

Tracker = Literal["tensorboard", "trackio", "wandb"]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]


class Tracking(Strict):
    """Trackers get their files from the records of training, by `deepscaler track` (docs/tracking.md)."""

    trackers: list[Tracker]
    """Any of them."""
    project: Name
    """What trackio and wandb call all runs together."""
    wandb: Literal["offline", "online"]
    """`offline`: files alone, until `deepscaler track --sync`; `online`: uploaded whenever they are written."""
    wandb_entity: Name | None = None
    """The team at wandb; None is your own account."""
