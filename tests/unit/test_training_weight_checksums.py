"""The checksum of weights: what it sees, what it does not, and how the trainer's tensors become vLLM's."""

import json
from types import SimpleNamespace

import pytest
import torch
from deepscaler.training.openrlhf import weight_checksums
from deepscaler.training.openrlhf.bounds import Bounds
from deepscaler.training.openrlhf.weight_checksums import (
    asked,
    checksum,
    checksums,
    compare,
    compare_first_sync,
    differing,
    message,
    of_engine,
    sizes_of,
    starts_in,
)

PACKED = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "gate_up_proj": ["gate_proj", "up_proj"]}
Q, K, V, QKV = (f"model.layers.0.self_attn.{part}_proj.weight" for part in ("q", "k", "v", "qkv"))


def tensor(*shape: int, seed: int = 0, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def one_step_up(values: torch.Tensor, place: int, steps: int = 1) -> torch.Tensor:
    """The same with one element moved by units in the last place."""
    moved = values.clone()
    moved.view(torch.int16)[place] += steps
    return moved


def test_every_bit_of_an_element_counts() -> None:
    values = tensor(4096)
    found = {checksum(values)}
    for bit in range(16):
        changed = values.clone()
        changed.view(torch.int16)[7] ^= torch.tensor(1 << bit).to(torch.int16)
        found.add(checksum(changed))
    assert len(found) == 17


def test_steps_up_and_down_do_not_cancel() -> None:
    """A plain sum of the bits would not see them; they are what a small update comes to in bf16."""
    values = tensor(4096)
    moved = one_step_up(one_step_up(values, 3), 9, -1)
    assert moved.view(torch.int16).long().sum() == values.view(torch.int16).long().sum()
    assert checksum(moved) != checksum(values)


def test_order_counts_and_layout_does_not() -> None:
    values = tensor(64, 32)
    assert checksum(values) == checksum(values.flatten()) == checksum(values.T.contiguous().T)
    assert len({checksum(values), checksum(values.T), checksum(values.flip(0)), checksum(values, start=1)}) == 4


def test_two_elements_in_each_others_place_are_seen() -> None:
    values = tensor(4096)
    for other in (1, 17, 4095):
        exchanged = values.clone()
        exchanged[[0, other]] = exchanged[[other, 0]]
        assert checksum(exchanged) != checksum(values)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int8])
def test_a_sum_over_pieces_is_that_of_the_whole(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    values = tensor(1000, dtype=dtype)
    whole = checksum(values)
    monkeypatch.setattr(weight_checksums, "ELEMENTS", 7)
    assert checksum(values) == whole != 0
    assert -(1 << 63) <= whole < 1 << 63


def test_a_fused_tensor_has_the_sum_of_its_parts() -> None:
    parts = {Q: tensor(8, 4), K: tensor(2, 4, seed=1), V: tensor(2, 4, seed=2), "model.norm.weight": tensor(4)}
    held = {QKV: torch.cat([parts[Q], parts[K], parts[V]]), "model.norm.weight": parts["model.norm.weight"]}
    trained = checksums(parts.items(), starts_in(PACKED, sizes_of(parts.items())))
    assert differing(trained, checksums(held.items()), PACKED) == []
    for wrong in (
        [parts[Q], one_step_up(parts[K].flatten(), 0).reshape(2, 4), parts[V]],
        [parts[Q], parts[V], parts[K]],  # in each other's place, as large
    ):
        assert differing(trained, checksums({**held, QKV: torch.cat(wrong)}.items()), PACKED) == [QKV]


def test_parts_begin_behind_those_before_them() -> None:
    gate, up = "a.gate_proj.weight", "a.up_proj.weight"
    sizes = {V: 8, K: 9, Q: 32, up: 5, gate: 7, "a.norm.weight": 3, Q.replace("weight", "bias"): 4}
    expected = {Q: 0, K: 32, V: 41, gate: 0, up: 7, Q.replace("weight", "bias"): 0}
    assert starts_in(PACKED, sizes) == expected


def test_a_padded_vocabulary_is_equal_where_the_padding_is_zeros() -> None:
    rows = tensor(10, 4)
    trained = checksums([("model.embed_tokens.weight", rows)])
    for padding, wrong in ((torch.zeros(6, 4), []), (torch.ones(6, 4), ["model.embed_tokens.weight"])):
        held = torch.cat([rows, padding.bfloat16()])
        assert differing(trained, checksums([("model.embed_tokens.weight", held)]), PACKED) == wrong


def test_tied_embeddings_are_one_tensor_and_untied_ones_are_missed() -> None:
    model = torch.nn.ModuleDict({"embed": torch.nn.Embedding(8, 4), "lm_head": torch.nn.Linear(4, 8, bias=False)})
    apart = checksums(model.named_parameters())
    model["lm_head"].weight = model["embed"].weight
    tied = checksums(model.named_parameters())
    assert differing(tied, tied, PACKED) == []
    assert differing(tied, apart, PACKED) == ["lm_head.weight"] == differing(apart, tied, PACKED)


class Engine:
    """An engine's handle, answered by a worker that holds some tensors."""

    def __init__(self, **held: torch.Tensor) -> None:
        model = SimpleNamespace(named_parameters=held.items, packed_modules_mapping=PACKED)
        self.worker = SimpleNamespace(model_runner=SimpleNamespace(model=model))
        self.asked: list[str] = []

    @property
    def update_weight(self) -> "Engine":
        return self

    def remote(self, name: str, dtype: None, shape: tuple[()]) -> list[object]:
        self.asked.append(name)
        return [of_engine(self.worker)]


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.get", list)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)


def test_all_engines_are_asked_and_the_one_that_differs_is_named(tmp_path, without_ray: None) -> None:
    weights = {"a": tensor(16), "b": tensor(16, seed=1)}
    trained, record = checksums(weights.items()), tmp_path / "weights.json"
    equal = [Engine(**weights), Engine(**weights)]
    compare(trained, asked(equal), record)
    assert json.loads(record.read_text()) == {"tensors": 2, "engines": 2, "differing": []}
    assert [engine.asked for engine in equal] == [[weight_checksums.QUESTION]] * 2
    with pytest.raises(RuntimeError, match=r"in 1 of 2 tensors \(engine 1\): b$"):
        compare(trained, asked([equal[0], Engine(**{**weights, "b": one_step_up(weights["b"], 0)})]), record)
    assert json.loads(record.read_text())["differing"] == ["b"]


def test_a_message_is_one_line_of_a_log_however_many_differ() -> None:
    line = message([f"model.layers.{n}.self_attn.qkv_proj.weight" for n in range(200)], 339, list(range(32)))
    assert len(f"RuntimeError: {line}") < 400
    assert "200 of 339" in line
    assert line.endswith("and 197 more")


def test_only_the_first_sync_of_a_launch_is_compared(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    done: list[str] = []

    class Trainer:
        actor = SimpleNamespace(model=SimpleNamespace(module=None))
        strategy, vllm_engines = None, ()

        def broadcast_to_vllm(self) -> None:
            done.append("sent")

    monkeypatch.setattr(weight_checksums, "asked", lambda engines: [])
    monkeypatch.setattr(weight_checksums, "of_trainer", lambda model, strategy, packed: {})
    monkeypatch.setattr(weight_checksums, "compare", lambda *_: done.append("compared"))
    bounds = Bounds("8k", "8k-1", 0, 2, 0, 4, False, "", None, weights=str(tmp_path / "weights.json"))
    compare_first_sync(SimpleNamespace(ActorPPOTrainer=Trainer), bounds)
    Trainer().broadcast_to_vllm()
    Trainer().broadcast_to_vllm()
    assert done == ["sent", "compared", "sent"]
