"""vLLM, started for sampling: the same engine on GPUs and in its CPU build, with what each needs."""

import atexit
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from deepscaler.errors import JobError
from deepscaler.evaluation import nucleus
from deepscaler.evaluation.cpu_room import cache_mb, threads
from deepscaler.models import bfloat16
from deepscaler.settings.scale import Engine
from deepscaler.training.launch.ray_access import ENGINES_LOOPBACK

# Of the CPU build: no pinning to cores, threads that do not spin while they wait for one whose core another job has,
# and the engine in this process (another one would import everything again).
CPU_ENVIRONMENT = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "GOMP_SPINCOUNT": "0",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}
PREFILL_TOKENS = 16384
"""Prompts that a step of the CPU engine takes on at once, at least."""
ROOM = ("cache_mb", "threads", "memory_utilisation")
"""What decides how many requests fit at a time and how fast they are, and no answer. dag/harmless.py names them too."""
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    **ENGINES_LOOPBACK,
}


@dataclass(frozen=True)
class EngineSettings:
    """What the engine is started with; all of it is recorded beside the samples.

    Of a CPU's part, what the settings leave open is filled in (`on_cpu`).
    """

    device: Literal["cpu", "gpu"]
    context: int
    """Tokens of prompt and response together."""
    seed: int
    tensor_parallel: int
    engine: Engine

    def arguments(self) -> dict[str, Any]:
        """The arguments of `vllm.LLM`.

        On a CPU no prompt is prefilled in two parts: seeded requests fail there (a CPU generator has no offset to set
        back).
        """
        cpu, gpu = self.engine.cpu, self.engine.gpu
        common = {
            "dtype": self.engine.dtype,
            "max_model_len": self.context,
            "seed": self.seed,
            "tensor_parallel_size": self.tensor_parallel,
            "disable_log_stats": True,
        }
        if self.device == "gpu":
            sequences = {} if gpu.max_sequences is None else {"max_num_seqs": gpu.max_sequences}
            share = gpu.memory_utilisation
            return {**common, "enforce_eager": gpu.eager, "gpu_memory_utilization": share, **sequences}
        return {
            **common,
            "enforce_eager": cpu.eager,
            "kv_cache_memory_bytes": (cpu.cache_mb or 0) << 20,
            "max_num_seqs": cpu.max_sequences,
            "max_num_batched_tokens": max(self.context, PREFILL_TOKENS),
            "enable_chunked_prefill": False,
        }

    def on_cpu(self, model: Path, cores: int, memory_mb: int) -> "EngineSettings":
        """The same with threads and cache for the weights in the folder `model`, in a job of so many cores and MiB."""
        cpu = self.engine.cpu
        own = {
            "threads": threads(cpu.threads, cores),
            "cache_mb": cpu.cache_mb or cache_mb(model, self, memory_mb),
        }
        filled = Engine(dtype=self.engine.dtype, cpu=cpu.model_copy(update=own), gpu=self.engine.gpu)
        return replace(self, engine=filled)

    def as_dict(self) -> dict[str, Any]:
        own = {key: value for key, value in vars(self).items() if key != "engine"}
        return {**own, "dtype": self.engine.dtype, **getattr(self.engine, self.device).model_dump()}


def prepare(settings: EngineSettings) -> None:
    """Set the engine's environment. To be called before anything imports torch, which reads it once."""
    os.environ.update(ENVIRONMENT)
    if settings.device == "cpu":
        os.environ.update(CPU_ENVIRONMENT)
        os.environ["OMP_NUM_THREADS"] = str(settings.engine.cpu.threads)
        if settings.engine.cpu.eager:
            os.environ["TORCHDYNAMO_DISABLE"] = "1"
        atexit.register(silence)


def start(model: Path, settings: EngineSettings) -> Any:
    """A `vllm.LLM` with the weights in the folder `model`."""
    if settings.device == "cpu":
        bfloat16.apply()
    try:
        from vllm import LLM

        if settings.device == "cpu" and settings.engine.cpu.candidates:
            nucleus.apply(settings.engine.cpu.candidates)
        return LLM(str(model), trust_remote_code=False, **settings.arguments())
    except ImportError as error:
        raise JobError(f"vLLM cannot be imported: {error}", None, "is this the environment of envs/?") from None
    except (RuntimeError, ValueError, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise JobError(f"the engine did not start: {lines[0]}", model, "its own log stands above") from error


def silence() -> None:
    """Close stderr to the list of leaks that Triton's bindings print when Python ends."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
