"""The machine's GPUs against what stages of training need."""

from collections.abc import Iterator

from deepscaler import dag, settings
from deepscaler.cost.estimate import stage_memory
from deepscaler.cost.workload import stages_of
from deepscaler.settings.scale import Layout
from deepscaler.training.readiness.check import Check
from deepscaler.training.readiness.driver import check_code, check_driver
from deepscaler.training.readiness.nvidia_smi import Gpu, found_or_missing, of_capability

OLDEST_TRAINING = (8, 0)
"""Compute capability from which there is bf16, and flash-attn."""


def check_gpus(scale_name: str, stages: list[str]) -> Iterator[Check]:
    wanted = max(dag.layout(scale_name, stage).gpus_per_node for stage in stages)
    found, unread = found_or_missing(what_stages_need(scale_name, stages))
    if unread:
        yield unread
        return
    if len(found) < wanted:
        what = f"{len(found)} GPUs here; {what_stages_need(scale_name, stages)}"
        yield Check("missing", what, "training.layout sets GPUs a node; fewer cost less and take longer")
    else:
        yield Check("ok", f"{len(found)} GPUs: {found[0].name}")
    if found:
        yield from check_memory(scale_name, stages, found)
        yield from check_state(found)
        if old := [gpu for gpu in found if gpu.capability and gpu.capability < OLDEST_TRAINING]:
            yield Check("missing", f"{of_capability(old[0])}; training needs 8.0: flash-attn, and bf16")


def check_memory(scale_name: str, stages: list[str], found: list[Gpu]) -> Iterator[Check]:
    """Peak memory of each stage, as computed, against the smallest card's."""
    works = {work.name: work for work in stages_of(scale_name)}
    smallest = min(gpu.memory for gpu in found)
    for stage in stages:
        tokens = dag.layout(scale_name, stage).max_tokens_per_gpu
        needed = stage_memory(settings.load_scale(scale_name), works[stage], tokens).total
        words = f"stage {stage} peaks at about {needed / 1e9:.0f} GB of a GPU's {smallest / 1e9:.0f}"
        hint = f"lower training.layout.{stage}.max_tokens_per_gpu, or use more GPUs"
        yield Check("ok", words) if needed <= smallest else Check("missing", f"memory: {words}", hint)


def check_state(found: list[Gpu]) -> Iterator[Check]:
    """The cards' model and driver, and whether they are whole and free."""
    model = settings.site().gpu_model
    if model and not any(model.lower() in gpu.name.lower() for gpu in found):
        yield Check("note", f"GPUs are {found[0].name}, gpu_model is {model!r}", "config/site.yaml")
    yield check_driver(found)
    yield from check_code(found)
    if any(gpu.mig for gpu in found):
        yield Check("missing", "a GPU is cut in slices (MIG)", "ask for whole GPUs")
    if busy := [gpu for gpu in found if gpu.used > 2e9]:
        yield Check("missing", f"{len(busy)} GPUs are in use: {max(gpu.used for gpu in busy) / 1e9:.0f} GB taken")


def what_stages_need(scale_name: str, stages: list[str]) -> str:
    """The nodes and GPUs that stages need, in words."""
    model = (settings.site().gpu_model or "gpu").upper()

    def needs_of(name: str, layout: Layout) -> str:
        nodes = "one node" if layout.nodes == 1 else f"{layout.nodes} nodes"
        return f"{name} needs {nodes} of {layout.gpus_per_node} × {model}"

    return ", ".join(needs_of(stage, dag.layout(scale_name, stage)) for stage in stages)
