"""usage: python -I architectures.py [BUILT]    the GPU architectures that code is built for, as `8.0;9.0`

TORCH_CUDA_ARCH_LIST where it is set, else those of this node's GPUs, else all that the engines know. With BUILT, a file
that an earlier set-up left: exit 3 where what it names does not serve what is asked for here, or this node's GPUs.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ALL = ("8.0", "8.6", "8.9", "9.0", "10.0")
"""Ampere to Blackwell: what CUDA 13.0 builds, and bf16 and flash-attn need."""
FLASH_ATTN = {"8": "80", "9": "90", "10": "100", "12": "120"}
"""Major compute capability → what flash-attn's set-up calls it; code for 8.0 runs on 8.6 and 8.9."""


def asked() -> list[str]:
    """Named in the environment, or of this node's GPUs; nothing on a node without any."""
    given = re.split(r"[;, ]+", os.environ.get("TORCH_CUDA_ARCH_LIST", "").strip())
    return [arch.removesuffix("+PTX") for arch in given if arch] or of_this_node()


def of_this_node() -> list[str]:
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    found = {line.strip() for line in output.splitlines() if re.fullmatch(r"\d+\.\d+", line.strip())}
    return sorted(found, key=version)


def wanted() -> list[str]:
    return asked() or list(ALL)


def for_flash_attn(architectures: list[str]) -> str:
    """`80;90`. Architectures that flash-attn does not have are left out; where it has none of them, they are for it to
    refuse."""
    known = dict.fromkeys(FLASH_ATTN[major] for arch in architectures if (major := arch.split(".")[0]) in FLASH_ATTN)
    return ";".join(known or [arch.replace(".", "") for arch in architectures])


def serves(built: list[str], architecture: str) -> bool:
    """Code runs on its own major compute capability, from its own minor one upwards."""
    major, minor = version(architecture)
    return any(version(one)[0] == major and version(one)[1] <= minor for one in built)


def version(architecture: str) -> tuple[int, int]:
    major, minor = re.match(r"(\d+)\.(\d+)", f"{architecture}.0").groups()  # type: ignore[union-attr]
    return int(major), int(minor)


def read(path: Path) -> list[str]:
    return [one for one in path.read_text().strip().split(";") if re.fullmatch(r"\d+\.\d+[a-z]?", one)]


if __name__ == "__main__":
    malformed = [one for one in wanted() if not re.fullmatch(r"\d+\.\d+[a-z]?", one)]
    if malformed:
        sys.exit(f"TORCH_CUDA_ARCH_LIST names compute capabilities as 8.0;9.0, not {malformed[0]!r}")
    if sys.argv[1:]:
        built = Path(sys.argv[1])
        lacking = [one for one in asked() if not built.is_file() or not serves(read(built), one)]
        if lacking:
            print(lacking[0])
            sys.exit(3)
    print(";".join(wanted()))
