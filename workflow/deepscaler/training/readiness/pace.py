"""What a node is and how fast, measured in seconds for a rehearsal: the other nodes of a job wait for the slowest."""

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepscaler import settings
from deepscaler.training.readiness.check import Check
from deepscaler.training.readiness.node import existing, memory_bytes
from deepscaler.training.readiness.nvidia_smi import read_gpus
from deepscaler.versions import processor

ROUNDS = 5
"""Of which the fastest counts: a node's first product loads libraries, and a neighbour may have the core."""
SIDE = {"cpu": 1024, "gpu": 8192}
"""Of the square matrices that are multiplied."""
DISK_BYTES = 512 << 20


@dataclass(frozen=True)
class Node:
    """One node as a rehearsal's preflight found it."""

    host: str
    architecture: str
    """Of its processor and its cards; the same on every node, or results and code differ."""
    memory_gb: float
    """Of the smallest card; without one, the node's."""
    tflops: float
    """Of a product of matrices, on the slowest card or on the node's cores."""
    disk_mb_per_second: float
    """Written to the work root, until it is on disk."""
    checks: list[Check]


def measured_node(scale_name: str, checks: list[Check]) -> Node:
    device = settings.load_scale(scale_name).device
    architecture, memory = processor(), memory_bytes()
    if device == "gpu":
        cards = read_gpus()
        memory = min(card.memory for card in cards)
        kinds = {f"{card.name} {'.'.join(map(str, card.capability or ()))}".strip() for card in cards}
        architecture = " and ".join(sorted(kinds))
    return Node(
        socket.gethostname(),
        architecture,
        round(memory / 1e9, 1),
        round(min(speeds(device)), 3),
        round(disk_speed(settings.run_root() / settings.site().work), 1),
        checks,
    )


def speeds(device: str) -> Iterator[float]:
    """TFLOP/s of each card, or of the cores."""
    import torch

    places = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if device == "gpu" else ["cpu"]
    for place in places:
        yield product_speed(torch, place, SIDE[device])


def product_speed(torch: Any, place: str, side: int) -> float:
    matrix = torch.ones(side, side, dtype=torch.float32 if place == "cpu" else torch.bfloat16, device=place)
    fastest = float("inf")
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        product = matrix @ matrix
        product[0, 0].item()  # waits for the card
        fastest = min(fastest, time.perf_counter() - begun)
    return float(2 * side**3 / fastest / 1e12)


def disk_speed(root: Path) -> float:
    """MB/s."""
    block = os.urandom(1 << 20)
    with tempfile.TemporaryFile(dir=existing(root)) as handle:
        begun = time.perf_counter()
        for _ in range(DISK_BYTES >> 20):
            handle.write(block)
        handle.flush()
        os.fsync(handle.fileno())
        return DISK_BYTES / 1e6 / (time.perf_counter() - begun)
