"""bf16 is computed in fp32 where the processor has no instructions for it.

On a processor with AVX2 alone, as most laptops have, oneDNN has no bf16 matrix product and PyTorch falls back to a
loop: a linear layer of the miniature's size takes nineteen times as long as in fp32 (docs/performance/training.md).
Here the inputs are widened, multiplied, and the result is rounded to bf16 again, which is what such instructions do:
they too add up in fp32.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

_originals: dict[str, Any] = {}


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """`torch.nn.functional.linear`, by its own names of arguments."""
    import torch

    if any(tensor is not None and tensor.dtype != torch.bfloat16 for tensor in (input, weight, bias)):
        return _originals["linear"](input, weight, bias)
    wide_bias = None if bias is None else bias.float()
    return _originals["linear"](input.float(), weight.float(), wide_bias).to(torch.bfloat16)


def attention(query: Any, key: Any, value: Any, attn_mask: Any = None, *arguments: Any, **options: Any) -> Any:
    """`torch.nn.functional.scaled_dot_product_attention`, by its own names of arguments."""
    import torch

    original = _originals["scaled_dot_product_attention"]
    if any(tensor.dtype != torch.bfloat16 for tensor in (query, key, value)):
        return original(query, key, value, attn_mask, *arguments, **options)
    if attn_mask is not None and attn_mask.is_floating_point():
        attn_mask = attn_mask.float()
    wide = original(query.float(), key.float(), value.float(), attn_mask, *arguments, **options)
    return wide.to(torch.bfloat16)


def missing() -> bool:
    """Whether this is a CPU build of torch on a processor without bf16 instructions."""
    import torch

    if torch.version.cuda is not None or not torch.backends.mkldnn.is_available():
        return False
    return not torch.ops.mkldnn._is_mkldnn_bf16_supported()


def apply() -> None:
    """Patch this process where bf16 is missing, once."""
    from torch.nn import functional

    if _originals or not missing():
        return
    for name, wide in (("linear", linear), ("scaled_dot_product_attention", attention)):
        _originals[name] = getattr(functional, name)
        setattr(functional, name, wide)


def wide_products() -> AbstractContextManager[Any]:
    """While this is open, plain matrix products of this thread are widened too, where bf16 is missing.

    Muon's orthogonalisation is made of them.
    """
    if not missing():
        return nullcontext()
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    products = {torch.ops.aten.mm.default, torch.ops.aten.addmm.default}

    class WideProducts(TorchDispatchMode):
        def __torch_dispatch__(self, operator: Any, types: Any, inputs: Any = (), options: Any = None) -> Any:
            if operator not in products or inputs[0].dtype != torch.bfloat16:
                return operator(*inputs, **(options or {}))
            return operator(*(matrix.float() for matrix in inputs), **(options or {})).to(torch.bfloat16)

    return WideProducts()
