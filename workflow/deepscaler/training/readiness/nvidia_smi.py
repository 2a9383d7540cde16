"""The machine's GPUs, as nvidia-smi reports them."""

import subprocess
from dataclasses import dataclass

from deepscaler.training.readiness.check import Check

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


def of_capability(gpu: Gpu) -> str:
    return f"{gpu.name} has compute capability {'.'.join(map(str, gpu.capability or ()))}"
