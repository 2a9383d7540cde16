"""What it costs to bring new weights to vLLM, tensor by tensor as upstream does, and in buckets.

    .venv/bin/python benchmarks/weight_sync.py [--engines 2] [--turns 5]

A model of random weights with the 339 tensors of the paper's, each small: calls and waiting count here, not bytes.
Ray, OpenRLHF's engine actors, vLLM and the hooks are real; on CPUs weights go over gloo. The two ways take turns within
one run: a bucket of no bytes holds one tensor. Prints a Markdown table of medians a sync.
"""

import argparse
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from deepscaler.training.openrlhf import cpu

QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "RAY_worker_niceness": "0"}  # Ray's own would starve beside other work
LAYERS = 28
"""Qwen2's 1.5B: 12 tensors each, and three more."""


def made_model(folder: Path) -> Path:
    import torch
    from deepscaler.miniature.tokenizer import build_tokenizer
    from deepscaler.models.distill_base import save
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = build_tokenizer("")
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        num_hidden_layers=LAYERS,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        **sizes,
    )
    torch.manual_seed(0)
    save(Qwen2ForCausalLM(config).to(torch.bfloat16), tokenizer, folder)
    return folder


def started(folder: Path, engines: int) -> None:
    """Ray, with the hooks in every worker, as a segment starts it."""
    from deepscaler.training.launch.driver import start_ray
    from deepscaler.training.launch.launch import cpu_environment
    from deepscaler.training.launch.ray_access import protected
    from deepscaler.training.launch.spec import RayCluster
    from deepscaler.training.openrlhf.bounds import Bounds

    os.environ |= Bounds("8k", "8k-1", 0, 1, 0, 1, False, str(folder / "metrics.jsonl"), None).to_environment()
    given = protected({**os.environ, **cpu_environment(2, dict(os.environ)), **QUIET}, nodes=1)
    os.environ.clear()
    os.environ |= given
    start_ray(
        RayCluster(
            address=None,
            node_address=None,
            nodes=1,
            cpus=2 + engines,
            gpus=engines,
            folder=str(folder / "ray"),
            object_store_bytes=200 << 20,
            fork_workers=False,
        )
    )


def made_trainer(folder: Path, engines: int) -> Any:
    """What of upstream's trainer sends weights: one rank at ZeRO 2, with engines beside it."""
    import ray
    import torch
    from openrlhf.trainer.ray.ppo_actor import ActorPPOTrainer
    from openrlhf.trainer.ray.vllm_engine import create_vllm_engines
    from transformers import AutoModelForCausalLM

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=0, world_size=1)
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.bfloat16)
    vllm = SimpleNamespace(num_engines=engines, tensor_parallel_size=1, enable_prefix_caching=False)
    arguments = SimpleNamespace(vllm=vllm, ds=SimpleNamespace(zero_stage=2, tensor_parallel_size=1))
    trainer = ActorPPOTrainer.__new__(ActorPPOTrainer)
    trainer.strategy, trainer.actor = SimpleNamespace(args=arguments), SimpleNamespace(model=SimpleNamespace())
    trainer.actor.model.module, trainer.use_cuda_ipc = model, False
    trainer.vllm_engines = create_vllm_engines(
        engines, 1, str(folder / "model"), 0, False, False, True, 256, gpu_memory_utilization=0.1
    )
    ray.get([engine.get_num_unfinished_requests.remote() for engine in trainer.vllm_engines])  # once they are up
    trainer._init_vllm_sync_group("nccl")
    return trainer


def used() -> float:
    """Processor seconds so far of this process and all that it started."""
    import psutil

    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(found.user + found.system for found in times)


def measured(trainer: Any, turns: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds and processor seconds of each sync, by way."""
    from deepscaler.training.openrlhf import weight_buckets

    ways = {"tensor by tensor": 0, "buckets": weight_buckets.BUCKET_BYTES}
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(turns):
        for way, weight_buckets.BUCKET_BYTES in ways.items():
            before, begun = used(), time.perf_counter()
            trainer.broadcast_to_vllm()
            found[way].append((time.perf_counter() - begun, used() - before))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    sys.path.insert(0, str(cpu.PATH))  # OpenRLHF as it imports on CPUs
    with tempfile.TemporaryDirectory(prefix="sync-") as name:
        folder = Path(name)
        made_model(folder / "model")
        started(folder, options.engines)
        from deepscaler.training.openrlhf.hooks import install

        install()
        trainer = made_trainer(folder, options.engines)
        tensors = sum(1 for _ in trainer.actor.model.module.named_parameters())
        print(f"{tensors} tensors, {options.engines} engines\n\n| way | seconds | processor seconds |\n|---|---|---|")
        for way, turns in measured(trainer, options.turns).items():
            seconds, processor = (median(column) for column in zip(*turns, strict=True))
            print(f"| {way} | {seconds:.2f} | {processor:.2f} |", flush=True)
    os._exit(0)  # Ray's own shutdown takes long


if __name__ == "__main__":
    main()
