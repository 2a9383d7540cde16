"""The node's memory, cores and open files, and the disk of the work root."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deepscaler import dag, settings
from deepscaler.cost.estimate import disk_of, training_shape
from deepscaler.cost.workload import case_of
from deepscaler.training.readiness.check import Check

CPU_DISK = 3e9
"""What a scale on CPU cores leaves, with the caches of its compilers."""
OPEN_FILES = 4096
"""Ray keeps a few for every actor and object."""


def check_node(scale_name: str, rule: str) -> Iterator[Check]:
    """Against what the jobs of a rule ask for."""
    need = dag.needs(scale_name, rule)
    memory = memory_bytes()
    if need.mem_mb and memory < need.mem_mb * 1e6:
        yield Check(
            "missing",
            f"{memory / 1e9:.0f} GB of memory; {rule} asks for {need.mem_mb / 1e3:.0f}",
            f"resources.{rule}.mem_mb of config/scales/{scale_name}.yaml",
        )
    else:
        yield Check("ok", f"{memory / 1e9:.0f} GB of memory")
    cores = len(os.sched_getaffinity(0))
    if need.cpus and cores < need.cpus:
        # a preflight job asks for less than what it is made for
        yield Check("note", f"{cores} cores for this process; {rule} asks for {need.cpus}")
    try:
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    except (ImportError, OSError):
        return
    if 0 < most < OPEN_FILES:
        yield Check("note", f"at most {most} open files; Ray wants {OPEN_FILES} or more", "ulimit -n")


def check_writable(root: Path) -> Iterator[Check]:
    folder = existing(root)
    try:
        with tempfile.TemporaryFile(dir=folder) as handle:
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
    """Bytes that a scale leaves in the work root."""
    scale = settings.load_scale(scale_name)
    if scale.device == "cpu":
        return CPU_DISK
    return disk_of(case_of(scale_name), scale, training_shape(scale)).total


def memory_bytes() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def folder_bytes(folder: Path) -> int:
    """The bytes of a folder's files; a file with several links counts once."""
    sizes: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                status = (Path(parent) / name).lstat()
            except OSError:
                continue
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())
