"""Which CUDA compiles: the system's where it is of the release that torch was built with, else the lock's packages.

The packages lie in `nvidia/cu13`, with every library under its versioned name alone and without `lib64`, so that
nothing can be linked there. `of_packages` puts a toolkit together from them.
"""

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

MAJOR = "13"
"""torch compiles its extensions with its own major version of CUDA alone."""
COMMON = "/usr/local/cuda"
HEADERS = ("include/cuda_runtime.h", "targets/x86_64-linux/include/cuda_runtime.h")
"""One of them: the second is conda's."""


def home(prefix: Path) -> Path:
    """CUDA_HOME for what is compiled in the environment at `prefix`."""
    return of_system() or of_packages(Path(sysconfig.get_path("purelib")) / "nvidia" / f"cu{MAJOR}", prefix / "cuda")


def of_system() -> Path | None:
    """CUDA_HOME, conda's environment, /usr/local/cuda, or the toolkit whose nvcc is on PATH."""
    given = [os.environ.get("CUDA_HOME"), os.environ.get("CONDA_PREFIX"), COMMON]
    places = [Path(place) for place in given if place]
    if nvcc := shutil.which("nvcc"):
        places.append(Path(nvcc).resolve().parent.parent)
    return next((place for place in places if is_whole(place)), None)


def is_whole(place: Path) -> bool:
    """With a compiler of this release, and headers."""
    if not any((place / header).is_file() for header in HEADERS):
        return False
    try:
        told = subprocess.run(
            [place / "bin/nvcc", "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return bool(re.search(rf"\brelease {MAJOR}\.", told.stdout))


def of_packages(packages: Path, target: Path) -> Path:
    """A toolkit at `target`, of links."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "lib64").mkdir(parents=True)
    for folder in ("bin", "include", "nvvm"):
        (target / folder).symlink_to(packages / folder)
    for library in sorted((packages / "lib").glob("lib*")):
        for name in {library.name, re.sub(r"\.so\..*", ".so", library.name)}:
            (target / "lib64" / name).symlink_to(library)
    return target
