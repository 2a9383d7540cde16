"""bf16 as PyTorch computes it on this processor, beside the same widened to fp32, in turns; processor time is counted.

    python benchmarks/bfloat16.py [--rounds 5]

At the miniature's sizes: a linear layer and its gradients over a micro-batch of 2,048 tokens, attention over as many
under packing's mask, and a step of Muon over the matrices of two layers. Where the processor has bf16 instructions
nothing is widened, and the two columns are the same code.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from deepscaler.models import bfloat16
from torch.nn import functional

TOKENS, HIDDEN, INTERMEDIATE, HEADS, HEAD = 2048, 128, 384, 4, 32
LAYER = [(128, 128), (64, 128), (64, 128), (128, 128), (384, 128), (384, 128), (128, 384)]


def workloads() -> dict[str, Callable[[], object]]:
    """What is timed, by name, with the functions of `functional` as they are at the time."""
    weight = torch.randn(INTERMEDIATE, HIDDEN, dtype=torch.bfloat16, requires_grad=True)
    inputs = torch.randn(TOKENS, HIDDEN, dtype=torch.bfloat16, requires_grad=True)
    heads = torch.randn(1, HEADS, TOKENS, HEAD, dtype=torch.bfloat16, requires_grad=True)
    mask = torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()
    matrices = [torch.nn.Parameter(torch.randn(size)) for size in LAYER * 2]
    for matrix in matrices:
        matrix.grad = torch.randn_like(matrix)
    muon = torch.optim.Muon(matrices, lr=0.02)

    def attention(*inputs: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(*inputs)

    return {
        "linear layer, forward and backward": lambda: functional.linear(inputs, weight).sum().backward(),
        "attention with a mask, forward and backward": lambda: attention(heads, heads, heads, mask).sum().backward(),
        "step of Muon": lambda: muon.step(),
    }


def milliseconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return 1000 * (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    torch.set_num_threads(1)
    names = ("linear", "scaled_dot_product_attention")
    plain = {name: getattr(functional, name) for name in names}
    bfloat16.apply()
    wide = {name: getattr(functional, name) for name in names}
    print(f"bf16 {'is missing' if bfloat16.missing() else 'is there'}; median of {rounds} rounds, one thread")
    print("| work | bf16, ms | in fp32, ms | times |\n|---|---:|---:|---:|")
    for title, work in workloads().items():
        work()
        times: dict[str, list[float]] = {"plain": [], "wide": []}
        for _ in range(rounds):
            for way, functions, products in (("plain", plain, nullcontext), ("wide", wide, bfloat16.wide_products)):
                for name, function in functions.items():
                    setattr(functional, name, function)
                with products():
                    times[way].append(milliseconds(work))
        one, other = (statistics.median(times[way]) for way in ("plain", "wide"))
        print(f"| {title} | {one:.0f} | {other:.0f} | {one / other:.1f} |")


if __name__ == "__main__":
    main()
