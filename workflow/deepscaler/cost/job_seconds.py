"""The seconds that one job is expected to take: the plan's prices, shared out over its jobs."""

from functools import cache

from deepscaler import dag, settings
from deepscaler.cost.estimate import Price, estimate
from deepscaler.cost.planned import SAMPLING, TRAINING
from deepscaler.cost.processor import LIGHT, PACES, ProcessorPrice, estimate_processor, sampling_seconds
from deepscaler.cost.workload import case_of


def job_seconds(
    scale_name: str, rule: str, segment: str | None = None, system: str | None = None, suite: str | None = None
) -> float:
    """Expected wall seconds of one job, without queues.

    A segment has its share of its stage's steps. On GPUs the plan prices training and sampling; what else runs there
    is taken to be as long as at the miniature.
    """
    if rule == TRAINING and segment:
        piece = dag.segment(scale_name, segment)
        share = (piece.last - piece.first) / dag.last_segment(scale_name, piece.stage).last
        return share * stage_seconds(scale_name, piece.stage)
    if rule == SAMPLING and system and suite:
        return sample_seconds(scale_name, system, suite)
    return PACES.get(rule, LIGHT).start if rule != "distill_base" else distillation_seconds(scale_name)


def stage_seconds(scale_name: str, stage: str) -> float:
    found = price(scale_name)
    if isinstance(found, ProcessorPrice):
        return found.of(TRAINING, stage).seconds.expected
    return next(entry.hours.expected for entry in found.stages if entry.work.name == stage) * 3600


def sample_seconds(scale_name: str, system: str, suite: str) -> float:
    """Of one shard."""
    found = price(scale_name)
    if isinstance(found, ProcessorPrice):
        shards = settings.load_scale(scale_name).evaluation.shards[suite]
        return sampling_seconds(scale_name, system, suite, PACES[SAMPLING]) / shards
    known = [entry for entry in found.samplings if (entry.work.system, entry.work.suite) == (system, suite)]
    alike = known or [entry for entry in found.samplings if entry.work.suite == suite] or list(found.samplings)
    return alike[0].hours.expected * 3600


def distillation_seconds(scale_name: str) -> float:
    found = price(scale_name)
    if not isinstance(found, ProcessorPrice):
        return PACES["distill_base"].start
    entry = found.of("distill_base")
    return entry.seconds.expected / entry.jobs


@cache
def price(scale_name: str) -> Price | ProcessorPrice:
    if settings.load_scale(scale_name).device == "cpu":
        return estimate_processor(scale_name)
    return estimate(case_of(scale_name))
