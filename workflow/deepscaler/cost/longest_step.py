"""How long a step of training may take at the most: for as long a job that is to end must be warned before."""

from dataclasses import replace

from deepscaler import settings
from deepscaler.cost.hardware import card
from deepscaler.cost.job_seconds import price
from deepscaler.cost.lengths import EARLY_8K
from deepscaler.cost.planned import TRAINING
from deepscaler.cost.processor import ProcessorPrice
from deepscaler.cost.step import step_time, with_lengths
from deepscaler.cost.workload import training_shape


def longest_step_seconds(scale_name: str, stage: str) -> float:
    """Of a stage, by the plan's worst case, with a state saved at its end.

    On GPUs with answers as long, against the context, as the paper's are at first: no other step is so long.
    """
    found = price(scale_name)
    if isinstance(found, ProcessorPrice):
        entry = found.of(TRAINING, stage)
        return entry.seconds.high / entry.steps
    work, worst = found.case.stage(stage), found.case.stacks.high
    growth = work.lengths.context / EARLY_8K.context
    longest = replace(EARLY_8K, context=work.lengths.context, mean=EARLY_8K.mean * growth)
    shape = training_shape(settings.load_scale(scale_name))
    step = step_time(with_lengths(work, longest), shape, card(found.case.card), worst)
    return step.total + worst.save_seconds
