"""Variables of the user's shell that would change a result or break a job: what every verb takes out and sets.

Taken out is what decides how engines, libraries and tools compute or look (`FOREIGN`), by names and by prefixes; what
says where things are stays: networks (NCCL_*, GLOO_*, proxies), GPUs (CUDA_VISIBLE_DEVICES), the hub and its token, and
a scheduler's own. A job then computes the same in the shell of anyone. Settings of that kind stand in config/.
"""

import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path

FOREIGN = (
    # engines: which kernels, plug-ins and defaults they take
    *(
        "VLLM_",
        "RAY_",
        "TRANSFORMERS_",
        "DS_",
        "DEEPSPEED_",
        "ACCELERATE_",
        "OPENRLHF_",
        "FLASHINFER_",
        "FLASH_ATTENTION_",
    ),
    *("TORCHDYNAMO_", "TORCHINDUCTOR_", "TORCH_COMPILE_", "TORCH_LOGS", "TRITON_", "PYTORCH_NVML_", "PYTORCH_JIT"),
    # arithmetic: another kernel, precision or number of threads adds up in another order
    *(
        "ATEN_CPU_CAPABILITY",
        "ONEDNN_",
        "DNNL_",
        "MKL_",
        "KMP_",
        "OMP_DYNAMIC",
        "NVIDIA_TF32_OVERRIDE",
        "TORCH_ALLOW_TF32_",
    ),
    *("CUBLAS", "CUDNN_"),
    # libraries that read data or draw
    *("HF_DATASETS_", "HF_EVALUATE_", "POLARS_", "MPL", "MATPLOTLIB", "JUPYTER_", "IPYTHON", "PAPERMILL_"),
    # git run by a job asks for this checkout, whatever repository the shell is in
    "GIT_",
    # how Python reads and prints text
    *("PYTHONIOENCODING", "PYTHONLEGACYWINDOWSSTDIO", "PYTHONTRACEMALLOC", "PYTHONMALLOC", "LANGUAGE"),
)
"""Names, or beginnings of names."""
KEPT = (
    *("VLLM_HOST_IP", "VLLM_LOOPBACK_IP", "VLLM_NCCL_SO_PATH"),
    *("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "MKL_NUM_THREADS"),
)
"""Of those: addresses, what a launch handed on, and the cores that Snakemake gives a job."""
FIXED = {
    "LC_ALL": "C",  # every system has it; texts and numbers of tools as their authors write them
    "PYTHONUTF8": "1",  # files and pipes of Python are UTF-8, whatever the locale
    "PYTHONNOUSERSITE": "1",  # ~/.local would come before the packages of a conda environment
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""Of torch 2.13, which reads both. vLLM 0.29 puts its weights to sleep, for which segments must not be expandable: it
switches them off where the second of the two asks for them, and knows nothing of the first."""
TOOLKIT = Path(sys.prefix) / "cuda"
"""CUDA's compiler, where set-up put one together because the system has none of this release: FlashInfer and TileLang
compile at run time, and would take whatever /usr/local/cuda is."""
EXPANDABLE = "expandable_segments"


def settle(environment: MutableMapping[str, str]) -> None:
    """Take out and set, in the environment of a process, what the module says."""
    for name in foreign_in(environment):
        del environment[name]
    for name in ALLOCATOR:
        if name in environment:
            environment[name] = without_expandable_segments(environment[name])
            if not environment[name]:
                del environment[name]
    environment.update(FIXED)
    if "CUDA_HOME" not in environment and (TOOLKIT / "bin" / "nvcc").is_file():
        environment["CUDA_HOME"] = str(TOOLKIT)


def foreign_in(environment: MutableMapping[str, str]) -> Iterator[str]:
    yield from [name for name in environment if name.startswith(FOREIGN) and name not in KEPT]


def without_expandable_segments(options: str) -> str:
    """Options of torch's allocator but for that one."""
    return ",".join(option for option in options.split(",") if option.partition(":")[0].strip().lower() != EXPANDABLE)


def with_library_folder(environment: MutableMapping[str, str], folder: str | None) -> None:
    """Have programs find a folder's libraries before others; nothing changes without one."""
    if folder:
        found = environment.get("LD_LIBRARY_PATH", "").split(":")
        environment["LD_LIBRARY_PATH"] = ":".join([folder, *(one for one in found if one not in ("", folder))])
