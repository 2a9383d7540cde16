"""The machine's GPUs, as nvidia-smi reports them, against what stages of training need."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from deepscaler import dag, settings
from deepscaler.cost.estimate import training_shape
from deepscaler.cost.memory import training_memory
from deepscaler.settings.scale import Layout
from deepscaler.training.readiness.check import Check

OLDEST_DRIVER = 580
"""Of CUDA 13, with which the pinned torch is built."""
OLDEST_TRAINING = (8, 0)
"""Compute capability from which there is bf16, and flash-attn."""
MEBIBYTE = 2**20
FIELDS = "name,memory.total,memory.used,driver_version,mig.mode.current"


@dataclass(frozen=True)
class Gpu:
    name: str
    memory: float
    """Bytes."""
    used: float
    driver: str
    mig: bool
    capability: tuple[int, int] | None
    """Compute capability; None where a driver is too old to tell."""


def read_gpus() -> list[Gpu]:
    """Raises OSError where there is no nvidia-smi, SubprocessError or ValueError where it fails."""
    try:
        lines = query(f"{FIELDS},compute_cap")
    except subprocess.CalledProcessError:
        lines = query(FIELDS)
    found = []
    for name, memory, used, driver, mig, *newer in lines:
        size, taken = float(memory) * MEBIBYTE, float(used) * MEBIBYTE
        found.append(Gpu(name, size, taken, driver, mig == "Enabled", capability_of(*newer)))
    return found


def capability_of(text: str = "") -> tuple[int, int] | None:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def query(fields: str) -> list[list[str]]:
    """What nvidia-smi says of each GPU."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return [[part.strip() for part in line.split(",")] for line in output.splitlines() if line.strip()]


def found_or_missing(need: str) -> tuple[list[Gpu], Check | None]:
    """The GPUs, or what keeps them from being read; `need` says what would be needed."""
    try:
        return read_gpus(), None
    except OSError:
        what = f"no NVIDIA GPU: nvidia-smi is not here; {need}"
        return [], Check("missing", what, "run this on a GPU node; on a cluster `--profile slurm` does")
    except (subprocess.SubprocessError, ValueError) as error:
        return [], Check("missing", f"nvidia-smi does not answer: {error}", "is the driver loaded?")


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


def of_capability(gpu: Gpu) -> str:
    return f"{gpu.name} has compute capability {'.'.join(map(str, gpu.capability or ()))}"


def check_memory(scale_name: str, stages: list[str], found: list[Gpu]) -> Iterator[Check]:
    """Peak memory of each stage, as computed, against the smallest card's."""
    training = settings.load_scale(scale_name).training
    assert training is not None
    shape = training_shape(settings.load_scale(scale_name))
    temperature = settings.load_recipe(training.recipe).rollout.temperature
    smallest = min(gpu.memory for gpu in found)
    for stage in stages:
        layout = training.layout[stage]
        gpus = layout.nodes * dag.gpus(scale_name, stage).training
        needed = training_memory(layout.max_tokens_per_gpu, gpus, layout.zero_stage, temperature, shape).total
        words = f"stage {stage} peaks at about {needed / 1e9:.0f} GB of a GPU's {smallest / 1e9:.0f}"
        hint = f"lower training.layout.{stage}.max_tokens_per_gpu, or use more GPUs"
        yield Check("ok", words) if needed <= smallest else Check("missing", f"memory: {words}", hint)


def check_state(found: list[Gpu]) -> Iterator[Check]:
    """The cards' model and driver, and whether they are whole and free."""
    model = settings.site().gpu_model
    if model and not any(model.lower() in gpu.name.lower() for gpu in found):
        yield Check("note", f"GPUs are {found[0].name}, gpu_model is {model!r}", "config/site.yaml")
    yield check_driver(found)
    if any(gpu.mig for gpu in found):
        yield Check("missing", "a GPU is cut in slices (MIG)", "ask for whole GPUs")
    if busy := [gpu for gpu in found if gpu.used > 2e9]:
        yield Check("missing", f"{len(busy)} GPUs are in use: {max(gpu.used for gpu in busy) / 1e9:.0f} GB taken")


def check_driver(found: list[Gpu]) -> Check:
    oldest = min(int(gpu.driver.split(".")[0]) for gpu in found)
    if oldest < OLDEST_DRIVER:
        return Check("missing", f"driver {found[0].driver}; the pinned torch needs {OLDEST_DRIVER} or newer")
    return Check("ok", f"driver {found[0].driver}")


def what_stages_need(scale_name: str, stages: list[str]) -> str:
    """The nodes and GPUs that stages need, in words."""
    model = (settings.site().gpu_model or "gpu").upper()

    def needs_of(name: str, layout: Layout) -> str:
        nodes = "one node" if layout.nodes == 1 else f"{layout.nodes} nodes"
        return f"{name} needs {nodes} of {layout.gpus_per_node} × {model}"

    return ", ".join(needs_of(stage, dag.layout(scale_name, stage)) for stage in stages)
