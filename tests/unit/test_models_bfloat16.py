"""bf16 computed in fp32, where a processor has no bf16: the same numbers, and nothing elsewhere."""

import contextlib

import pytest
import torch
from deepscaler.models import bfloat16
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

PRECISION = 2**-7
"""Of bf16, relative: two roundings of the same sum may fall on neighbours."""


@pytest.fixture
def patched(monkeypatch):
    """This process as on a processor without bf16, whatever it runs on; gives torch's own functions."""
    monkeypatch.setattr(bfloat16, "missing", lambda: True)
    names = ("linear", "scaled_dot_product_attention")
    before = tuple(bfloat16._originals.get(name, getattr(functional, name)) for name in names)
    monkeypatch.setattr(bfloat16, "_originals", {})
    for name, function in zip(names, before, strict=True):
        monkeypatch.setattr(functional, name, function)
    bfloat16.apply()
    assert (functional.linear, functional.scaled_dot_product_attention) == (bfloat16.linear, bfloat16.attention)
    return before


class Seen(TorchDispatchMode):
    """Notes the types of what reaches each product."""

    def __init__(self):
        super().__init__()
        self.types = set()

    def __torch_dispatch__(self, operator, types, inputs=(), options=None):
        if "mm" in operator.__name__ or "attention" in operator.__name__:
            self.types |= {tensor.dtype for tensor in inputs if isinstance(tensor, torch.Tensor)}
        return operator(*inputs, **(options or {}))


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.allclose(one.float(), other.float(), rtol=PRECISION, atol=PRECISION)


def test_a_linear_layer_and_its_gradients_are_the_same(patched):
    torch.manual_seed(0)
    layer = torch.nn.Linear(32, 48, dtype=torch.bfloat16)
    inputs = torch.randn(2, 5, 32, dtype=torch.bfloat16)
    found = []
    for compute in (patched[0], functional.linear):
        given = inputs.clone().requires_grad_()
        layer.zero_grad()
        output = compute(given, layer.weight, layer.bias)
        output.float().square().sum().backward()
        found.append((output, given.grad, layer.weight.grad, layer.bias.grad))
    for plain, wide in zip(*found, strict=True):
        assert close(plain / plain.abs().max(), wide / plain.abs().max())
    with Seen() as seen:
        functional.linear(inputs, layer.weight, layer.bias)
    assert seen.types == {torch.float32}


@pytest.mark.parametrize("mask", [None, "bool", "float", "causal"])
def test_attention_is_the_same(patched, mask):
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, 7, 8, dtype=torch.bfloat16) for _ in range(3))
    visible = torch.ones(7, 7, dtype=torch.bool).tril()
    given = {
        None: None,
        "causal": None,
        "bool": visible,
        "float": torch.zeros(7, 7, dtype=torch.bfloat16).masked_fill(~visible, -1e9),
    }[mask]
    plain, wide = (
        attend(query, key, value, attn_mask=given, scale=0.5, is_causal=mask == "causal")
        for attend in (patched[1], functional.scaled_dot_product_attention)
    )
    assert close(plain, wide)
    with Seen() as seen:
        functional.scaled_dot_product_attention(query, key, value, attn_mask=given)
    assert seen.types - {torch.bool} == {torch.float32}


def test_types_that_do_not_fit_are_an_error_here_too(patched):
    with pytest.raises(RuntimeError, match="same dtype"):
        functional.linear(torch.randn(3, 4, dtype=torch.bfloat16), torch.randn(5, 4))


def test_other_types_are_left_as_they_are(patched):
    inputs, weight = torch.randn(3, 4), torch.randn(5, 4)
    assert functional.linear(inputs, weight).equal(patched[0](inputs, weight))
    heads = torch.randn(1, 2, 3, 4)
    assert functional.scaled_dot_product_attention(heads, heads, heads).dtype == torch.float32


def test_muon_takes_the_same_step(patched):
    """Its products of a matrix are in bf16; both ways add up in fp32, in orders that may differ."""
    assert not isinstance(bfloat16.wide_products(), contextlib.nullcontext)
    found = []
    for products in (contextlib.nullcontext, bfloat16.wide_products):
        torch.manual_seed(0)
        matrix = torch.nn.Parameter(torch.randn(24, 48))
        before, matrix.grad = matrix.detach().clone(), torch.randn(24, 48)
        with Seen() as seen, products():
            torch.optim.Muon([matrix], lr=0.1, weight_decay=0).step()
        assert (torch.bfloat16 in seen.types) == (products is contextlib.nullcontext)
        found.append(matrix.detach() - before)
    plain, wide = found
    assert plain.norm() > 0
    assert (plain - wide).norm() < 0.01 * plain.norm()


def test_where_bf16_is_there_nothing_is_patched(monkeypatch):
    monkeypatch.setattr(bfloat16, "missing", lambda: False)
    monkeypatch.setattr(bfloat16, "_originals", {})
    before = functional.linear
    bfloat16.apply()
    assert functional.linear is before


def test_a_cuda_build_is_never_patched(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert not bfloat16.missing()
