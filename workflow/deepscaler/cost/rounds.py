"""The price of some more answers to every problem of some benchmarks, drawn by one job on one engine."""

from collections.abc import Sequence

from deepscaler import dag, settings
from deepscaler.cost.evaluation import sampling_hours
from deepscaler.cost.hardware import card
from deepscaler.cost.planned import SAMPLING
from deepscaler.cost.processor import PACES, answer_tokens
from deepscaler.cost.workload import case_of, sampling_of


def hours_of_rounds(scale_name: str, system: str, benchmarks: Sequence[str], rounds: int) -> float:
    """GPU-hours, at a scale on CPUs core-hours, of `rounds` answers of a system to every problem, with the start."""
    if settings.load_scale(scale_name).device == "cpu":
        pace = PACES[SAMPLING]
        tokens = answer_tokens(scale_name, system, benchmarks, rounds)
        return (pace.start + tokens / pace.rate) / 3600 * (dag.needs(scale_name, SAMPLING).cpus or 1)
    case, work = case_of(scale_name), sampling_of(scale_name, system, benchmarks, rounds)
    return sampling_hours(work, card(case.card), case.stacks.expected) * work.gpus
