"""What saving costs against what it keeps: the best number of steps between two states.

A job that is told to end loses at most a step, however seldom states are saved. What counts here are hard kills: a node
that dies, a process that crashes, a job that is given less time than its step takes. One of them loses a start and, on
average, half of the time between two states; so the best time between these is √(2 · save · time between kills), after
John Young (1974). No two are further apart than a segment is long, whose last step is always saved.
"""

from dataclasses import dataclass
from math import sqrt

from deepscaler.cost.assumptions import Stack
from deepscaler.cost.hardware import Shape
from deepscaler.cost.step import Step, Work, save_seconds_of


@dataclass(frozen=True)
class Saving:
    """Of a stage, in GPU-hours, at its own `save_steps` and at the best."""

    save_steps: int
    saved: float
    """Spent on saving."""
    kills: float
    """Hard kills to be expected in the stage."""
    loss: float
    """Of one hard kill, on average."""
    best_steps: int
    gain: float
    """What the best would save."""


def saving_of(work: Work, step: Step, layout_nodes: int, segment_steps: int, shape: Shape, stack: Stack) -> Saving:
    """`step` of the expected case; `segment_steps` bounds the distance of two states."""
    save = save_seconds_of(work, shape, stack)
    alone = step.total - save / min(work.save_steps, work.steps)
    kills_a_second = layout_nodes / stack.kill_hours / 3600
    best = max(1, min(segment_steps, round(sqrt(2 * save / kills_a_second) / alone)))

    def spent(steps: int) -> float:
        """GPU-hours of saving and of what kills lose, over the stage."""
        return cost(steps) + kills(steps) * loss(steps)

    def cost(steps: int) -> float:
        return work.steps / steps * save * work.gpus / 3600

    def kills(steps: int) -> float:
        return work.steps * (alone + save / steps) * kills_a_second

    def loss(steps: int) -> float:
        return (steps / 2 * alone + stack.start_seconds) * work.gpus / 3600

    own = min(work.save_steps, segment_steps)
    return Saving(work.save_steps, cost(own), kills(own), loss(own), best, max(0.0, spent(own) - spent(best)))
