"""vLLM's linear layers keep their weights, so that later ones can be loaded.

On a CPU, vLLM packs a linear layer's weights for oneDNN and drops the originals
(vllm/model_executor/layers/utils.py, dispatch_cpu_unquantized_gemm); a later `load_weights` then reaches nothing. Plain
`linear` costs a little speed and keeps the parameter alive.
"""

from typing import Any

from deepscaler.training.openrlhf.when_imported import when_imported


def keep_weights(layer: Any, remove_weight: bool) -> None:
    import torch

    layer.cpu_linear = torch.nn.functional.linear


def apply() -> None:
    def patch(module: Any) -> None:
        module.dispatch_cpu_unquantized_gemm = keep_weights

    when_imported("vllm.model_executor.layers.utils", patch)
