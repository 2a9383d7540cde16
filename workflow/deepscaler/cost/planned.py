"""GPU-hours by rule and stage, at every scale: what the ledger and the budget compare with.

A scale that runs on CPU cores counts its machine as one GPU, which is how its layout describes it.
"""

from functools import cache

from deepscaler import dag, settings
from deepscaler.cost.estimate import Price, estimate
from deepscaler.cost.processor import ProcessorPrice, estimate_processor
from deepscaler.cost.ranges import Range, total
from deepscaler.cost.workload import case_of

TRAINING, SAMPLING, ALL, TOTAL = "train_segment", "sample", "all", "total"
Key = tuple[str, str]
"""(rule, stage), as in compute.csv: stage is "" but for train_segment; ("total", "") is everything."""


@cache
def planned_gpu_hours(scale_name: str) -> dict[Key, Range]:
    """What `deepscaler plan` expects of every rule that holds GPUs."""
    if settings.load_scale(scale_name).device == "cpu":
        return of_processors(estimate_processor(scale_name))
    return of_gpus(estimate(case_of(scale_name)))


def of_gpus(price: Price) -> dict[Key, Range]:
    stages = {(TRAINING, stage.work.name): stage.gpu_hours for stage in price.stages}
    return with_sums(stages, price.evaluation)


def of_processors(price: ProcessorPrice) -> dict[Key, Range]:
    hours = {(entry.rule, entry.stage): entry.seconds.times(1 / 3600) for entry in price.rules}
    stages = {
        key: value.times(dag.layout(price.scale, key[1]).gpus_per_node)
        for key, value in hours.items()
        if key[0] == TRAINING
    }
    return with_sums(stages, hours[SAMPLING, ""])


def with_sums(stages: dict[Key, Range], sampling: Range) -> dict[Key, Range]:
    training = total(stages.values())
    sums = {(TRAINING, ALL): training} if stages else {}
    return {**stages, **sums, (SAMPLING, ""): sampling, (TOTAL, ""): training.plus(sampling)}


def segment_gpu_hours(scale_name: str, identifier: str) -> float:
    """Expected of one training job, as its share of the stage's steps."""
    piece = dag.segment(scale_name, identifier)
    steps = dag.last_segment(scale_name, piece.stage).last
    return planned_gpu_hours(scale_name)[TRAINING, piece.stage].expected * (piece.last - piece.first) / steps
