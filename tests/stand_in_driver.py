"""A libcuda.so.1 that answers as a driver would, for machines without one."""

import subprocess
from pathlib import Path


def put_cuda(folder: Path, code: int = 0, version: int = 13000) -> Path:
    """Write it into a folder (for LD_LIBRARY_PATH): cuInit answers `code`, cuDriverGetVersion `version`."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "cuda.c"
    source.write_text(
        f"int cuInit(unsigned flags) {{ return {code}; }}\n"
        f"int cuDriverGetVersion(int *version) {{ *version = {version}; return 0; }}\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(folder / "libcuda.so.1"), str(source)], check=True)
    return folder
