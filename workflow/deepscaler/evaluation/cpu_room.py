"""Threads and memory of the CPU engine, as far as a scale leaves them open: they follow the job and the model."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepscaler.errors import UserError
from deepscaler.files import read_json

if TYPE_CHECKING:
    from deepscaler.evaluation.vllm_engine import EngineSettings

PROGRAMS_MB = 1500
"""Python, torch, vLLM and a step's activations."""
COPIES_OF_WEIGHTS = 2
"""Those of the checkpoint, and those that oneDNN packs for its products."""
BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
MIB = 1 << 20


def threads(wanted: int | None, cores: int) -> int:
    """As many as are wanted; else as many as the job has cores, and the computer."""
    return wanted or max(1, min(cores, len(os.sched_getaffinity(0))))


def cache_mb(model: Path, settings: "EngineSettings", memory_mb: int) -> int:
    """MiB of keys and values: whole contexts of all requests of a batch, or what a job of so many MiB has left.

    Raises:
        UserError: not one answer's context finds room.
    """
    one = context_bytes(read_json(model / "config.json"), settings.context, BYTES[settings.engine.dtype])
    weights = sum(path.stat().st_size for path in model.glob("*.safetensors"))
    room = memory_mb * MIB - PROGRAMS_MB * MIB - COPIES_OF_WEIGHTS * weights
    if room < one:
        needed = -(-(memory_mb * MIB - room + one) // MIB)
        raise UserError(
            f"a job of {memory_mb:,} MiB has no room for the keys and values of one answer beside the weights",
            model,
            f"set resources.sample.mem_mb to {needed:,} or more, or a shorter evaluation.context",
        )
    return -(-min(room, settings.engine.cpu.max_sequences * one) // MIB)


def context_bytes(config: dict[str, Any], tokens: int, size: int) -> int:
    """Bytes of keys and values of a context, by a model's config.json, `size` bytes a number."""
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    return 2 * config["num_hidden_layers"] * (config.get("num_key_value_heads") or heads) * width * size * tokens
