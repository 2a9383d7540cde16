"""Where and when a run that is kept for comparison was made: kept.yaml, beside its results.

The results themselves name no time and no machine, so that equal runs are equal files.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import yaml
from pydantic import Field

from deepscaler.settings.base import Strict, validate

NAME = "kept.yaml"
CPU_INFO, MEMORY_INFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")


class KeptRun(Strict):
    date: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    """Of its last result."""
    processor: str
    cores: int
    memory_gb: int
    bf16: bool
    """Whether the processor has instructions for bf16."""

    @property
    def machine(self) -> str:
        bf16 = "with" if self.bf16 else "no"
        return f"{self.processor}, {self.cores} cores, {self.memory_gb} GB, {bf16} bf16 instructions"


def describe(folder: Path) -> KeptRun:
    """Of a run in `folder` that this machine has made."""
    made = datetime.fromtimestamp((folder / "table.csv").stat().st_mtime, UTC)
    facts = [line.partition(":")[::2] for line in CPU_INFO.read_text(encoding="utf-8").splitlines()]
    known = {key.strip(): value.strip() for key, value in facts}
    kilobytes = int(MEMORY_INFO.read_text(encoding="utf-8").split()[1])
    return KeptRun(
        date=made.strftime("%Y-%m-%d"),
        processor=known.get("model name", "unknown processor"),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(kilobytes / 2**20),
        bf16="avx512_bf16" in known.get("flags", "").split(),
    )


def write(path: Path, run: KeptRun) -> None:
    path.write_text(yaml.safe_dump(run.model_dump(), sort_keys=False), encoding="utf-8")


def read(folder: Path) -> KeptRun | None:
    """None where nobody has recorded it."""
    path = folder / NAME
    return validate(KeptRun, yaml.safe_load(path.read_text(encoding="utf-8")), path) if path.is_file() else None
