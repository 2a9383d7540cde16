"""Whether CUDA starts here, whatever the driver's number, and whether the engines hold code for the cards."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from deepscaler import settings
from deepscaler.environment import with_library_folder
from deepscaler.training.readiness.check import Check
from deepscaler.training.readiness.nvidia_smi import Gpu

NEEDED = 13000
"""CUDA 13.0, with which the pinned torch is built, as cuDriverGetVersion tells it."""
SECONDS = 120
"""Until CUDA counts as hung: its first start on a node of eight can take half a minute."""
ARCHITECTURE = re.compile(r"\b(\d{1,3})\.(\d{1,3})\b")
"""As set-up notes those that it built for: `8.0;9.0`."""
START = """
import ctypes
try:
    cuda = ctypes.CDLL("libcuda.so.1")
except OSError as error:
    print("none", error)
    raise SystemExit
version = ctypes.c_int()
print(cuda.cuInit(0), version.value if cuda.cuDriverGetVersion(ctypes.byref(version)) else version.value)
"""
"""In a process of its own, since CUDA that has started cannot be forked."""
CODES = {
    34: "the library is a stub",
    35: "the driver is older than the library",
    100: "no GPU can be seen",
    802: "the fabric manager is not ready",
    803: "the driver and the library do not fit together",
    804: "the compatibility libraries are not for this card",
    999: "the driver does not answer",
}
"""Of cuInit, from cuda.h."""
HINT = (
    "a driver of 580 or newer, or on data-centre cards with one of 535 or newer NVIDIA's package cuda-compat-13-0, "
    "whose folder is `cuda_compat` in config/site.local.yaml"
)


def check_driver(found: list[Gpu]) -> Check:
    """CUDA is started; a driver that is old by number may do with compatibility libraries."""
    driver = f"driver {found[0].driver}"
    command, environment = [sys.executable, "-I", "-c", START], dict(os.environ)
    with_library_folder(environment, settings.site().cuda_compat)
    try:
        output = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=True
        ).stdout.split()
    except subprocess.SubprocessError as error:
        return Check("missing", f"{driver}: CUDA does not start: {error}", HINT)
    if output[0] == "none":
        return Check("missing", f"{driver}: libcuda.so.1 is not found", "is the driver whole, and not its tools alone?")
    code, version = map(int, output)
    if code:
        return Check("missing", f"{driver}: CUDA does not start: {CODES.get(code, 'see cuda.h')} (error {code})", HINT)
    has = f"CUDA {version // 1000}.{version % 1000 // 10}"
    if version < NEEDED:
        return Check("missing", f"{driver} has {has}; the pinned torch needs 13.0", HINT)
    return Check("ok", f"{driver}, {has}")


def check_code(found: list[Gpu], prefix: Path = Path(sys.prefix)) -> Iterator[Check]:
    """The cards' compute capabilities against those that set-up built for; nothing where it left no word of them."""
    try:
        words = (prefix / "architectures").read_text(encoding="utf-8").strip()
    except OSError:
        return
    built = [(int(major), int(minor)) for major, minor in ARCHITECTURE.findall(words)]
    for gpu in found:
        if gpu.capability and not any(a == gpu.capability[0] and b <= gpu.capability[1] for a, b in built):
            capability = ".".join(map(str, gpu.capability))
            what = f"{gpu.name} has compute capability {capability}; the engines' code here is for {words}"
            yield Check("missing", what, f"TORCH_CUDA_ARCH_LIST='{words};{capability}' make setup-gpu")
            return
    yield Check("ok", f"code for compute capabilities {words}")
