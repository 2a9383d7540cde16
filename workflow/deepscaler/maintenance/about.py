"""What a report of a fault needs: this code, its environment, the computer, and how the settings differ from git's.

No path, no name of a host or a user, no setting of the site: it is made to be pasted where everyone reads it.
"""

import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deepscaler import settings
from deepscaler.dag.digests import resolved
from deepscaler.files import digest_of
from deepscaler.training.readiness.nvidia_smi import found_or_missing
from deepscaler.versions import commit, processor, versions

GIB = 1 << 30


def about(scale: str | None) -> Iterator[str]:
    """Lines of `name: value`."""
    yield f"deepscaler: {versions(['deepscaler'])['deepscaler']}, commit {commit() or 'unknown'}{changed_files()}"
    yield f"packages: {', '.join(f'{name} {version}' for name, version in versions().items() if name != 'deepscaler')}"
    libc = " ".join(platform.libc_ver()) or "unknown C library"
    yield f"system: {platform.system()} {platform.release()}, {libc}"
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    yield f"computer: {processor()}, {cores} cores of {os.cpu_count()}, {memory:.0f} GiB"
    yield f"GPUs: {gpus()}"
    given = sorted(name for name in os.environ if name.startswith("DEEPSCALER_"))
    local = settings.project_root() / "config" / "site.local.yaml"
    yield f"site: {'config/site.local.yaml, ' if local.exists() else ''}variables {', '.join(given) or 'none'}"
    if scale:
        yield f"settings of {scale}: digest {digest_of(resolved(scale))[:12]}"


def gpus() -> str:
    found, missing = found_or_missing("none is needed at scale mini")
    return missing.what if missing else ", ".join(f"{gpu.name}, driver {gpu.driver}" for gpu in found) or "none"


def changed_files() -> str:
    """How many files of git differ from its commit."""
    command = ["git", "-C", str(settings.project_root()), "status", "--porcelain", "--untracked-files=no"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    changed = [Path(line[3:]).as_posix() for line in done.stdout.splitlines()]
    return f"; changed: {', '.join(changed[:5])}{' …' if len(changed) > 5 else ''}" if changed else ""
