"""Facts of the machine that this runs on, told without importing or starting anything heavy."""

import os
import socket
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

MEBIBYTE = 2**20
HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Gpu:
    name: str
    memory: float
    """Bytes."""
    used: float
    driver: str
    mig: bool


def read_gpus() -> list[Gpu]:
    """Raises OSError where there is no nvidia-smi, SubprocessError or ValueError where it fails."""
    fields = "name,memory.total,memory.used,driver_version,mig.mode.current"
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    found = []
    for line in filter(None, map(str.strip, output.splitlines())):
        name, memory, used, driver, mig = (part.strip() for part in line.split(","))
        found.append(Gpu(name, float(memory) * MEBIBYTE, float(used) * MEBIBYTE, driver, mig == "Enabled"))
    return found


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


def memory_bytes() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def folder_bytes(folder: Path) -> int:
    """On disk, a file with several links once."""
    sizes: dict[tuple[int, int], int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                facts = (Path(place) / name).lstat()
            except OSError:
                continue
            sizes[facts.st_dev, facts.st_ino] = facts.st_size
    return sum(sizes.values())


def hub_reachable() -> bool:
    """Whether the Hugging Face hub, its stand-in (`HF_ENDPOINT`) or the proxy before them accepts a connection."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    endpoint = urlsplit(os.environ.get("HF_ENDPOINT") or HUB)
    way = urlsplit(getproxies().get(endpoint.scheme, "")) if not proxy_bypass(endpoint.hostname or "") else endpoint
    return reachable(way if way.hostname else endpoint)


def reachable(address: SplitResult) -> bool:
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        with socket.create_connection((address.hostname or "", port), timeout=5):
            return True
    except OSError:
        return False
