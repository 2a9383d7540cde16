"""Weights in buckets: what goes into one, what each engine is told, and that every byte arrives."""

import contextlib
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from deepscaler.training.openrlhf import weight_buckets
from deepscaler.training.openrlhf.weight_buckets import (
    described,
    digest_of,
    in_buckets,
    laid_out,
    receive_by_group,
    receive_by_handle,
    refuse_other_source,
    refuse_other_ways,
    send_buckets,
    send_by_group,
    send_by_handle,
)


def weight(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


def model() -> dict[str, torch.Tensor]:
    return {"embed": weight(50, 4), "a": weight(3, 4), "b": weight(5), "c": weight(7, 2), "d": weight(1)}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_buckets, "BUCKET_BYTES", 64)


def test_a_bucket_holds_what_fits_in_order() -> None:
    names = [[name for name, _ in bucket] for bucket in in_buckets(model().items())]
    assert names == [["embed"], ["a", "b", "c", "d"]]
    sizes = [sum(own.numel() * 2 for _, own in bucket) for bucket in in_buckets(model().items())[1:]]
    assert sizes == [64]
    assert in_buckets([]) == []


def test_a_bucket_is_of_one_type() -> None:
    mixed = [("a", weight(2)), ("b", weight(2, dtype=torch.float32)), ("c", weight(2)), ("d", weight(2))]
    assert [[name for name, _ in bucket] for bucket in in_buckets(mixed)] == [["a"], ["b"], ["c", "d"]]


def test_a_part_of_a_weight_counts_as_the_whole() -> None:
    """At ZeRO 3 a rank has an empty tensor until the weight is gathered."""
    cut = torch.empty(0, dtype=torch.bfloat16)
    cut.ds_shape = torch.Size([8, 4])  # type: ignore[attr-defined]
    found = in_buckets([("a", cut), ("b", cut)])
    assert [described(bucket)["shape"] for bucket in found] == [[(8, 4)], [(8, 4)]]


class Model:
    """vLLM's, which copies what it loads."""

    def __init__(self) -> None:
        self.held: dict[str, torch.Tensor] = {}

    def load_weights(self, weights: list[tuple[str, torch.Tensor]]) -> None:
        self.held |= {name: own.clone() for name, own in weights}


class Engine:
    """A handle whose calls are answered at once by a worker, as `engine_process` has it."""

    def __init__(self, dtype: torch.dtype = torch.bfloat16) -> None:
        group = SimpleNamespace(broadcast=self.receive)
        self.model, self.lasts, self.come = Model(), [], None
        self.worker = SimpleNamespace(
            device=torch.device("cpu"),
            model_config=SimpleNamespace(dtype=dtype),
            model_runner=SimpleNamespace(model=self.model),
            _model_update_group=group,
        )
        self.update_weight = SimpleNamespace(remote=self.later)
        self.update_weight_cuda_ipc = SimpleNamespace(remote=self.at_once)

    def later(self, *, name: Any, dtype: Any, shape: Any, empty_cache: bool) -> Any:
        self.lasts.append(empty_cache)
        return lambda: receive_by_group(self.worker, name, dtype, shape)

    def at_once(self, *, name: Any, dtype: Any, shape: Any, ipc_handles: Any, empty_cache: bool) -> Any:
        self.lasts.append(empty_cache)
        return lambda: receive_by_handle(self.worker, name, shape, ipc_handles)

    def receive(self, whole: torch.Tensor, src: int, stream: Any) -> None:
        whole.copy_(SENT[-1])


SENT: list[torch.Tensor] = []


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One rank, without CUDA; Ray waits for calls by making them."""
    SENT.clear()
    monkeypatch.setattr("ray.get", lambda calls: [call() for call in calls])
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 1)
    monkeypatch.setattr("torch.distributed.all_gather_object", lambda found, own: found.__setitem__(0, own))
    for call in ("current_stream", "synchronize"):
        monkeypatch.setattr(f"torch.cuda.{call}", lambda *_: None)


def trainer(engines: list[Engine]) -> Any:
    group = SimpleNamespace(broadcast=lambda whole, src, stream: SENT.append(whole.clone()))
    return SimpleNamespace(vllm_engines=engines, _model_update_group=group)


def arrived(engine: Engine) -> bool:
    return {name: own.shape for name, own in engine.model.held.items()} == {
        name: own.shape for name, own in model().items()
    } and all(torch.equal(engine.model.held[name], own) for name, own in model().items())


def test_every_engine_gets_every_byte(alone: None) -> None:
    engines = [Engine(), Engine()]
    found = in_buckets(model().items())
    for number, bucket in enumerate(found, 1):
        send_by_group(trainer(engines), bucket, number == len(found))
    assert all(map(arrived, engines))
    assert [engine.lasts for engine in engines] == [[False, True]] * 2


def test_the_same_by_handles(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handle as of PyTorch's CUDA tensors: a function and arguments, the seventh of which is the sender's GPU."""
    utils = SimpleNamespace(get_physical_gpu_id=lambda: "GPU-0")
    barrier = SimpleNamespace(torch_dist_barrier_and_cuda_sync=lambda: None)
    monkeypatch.setitem(sys.modules, "openrlhf.trainer.ray.utils", utils)
    monkeypatch.setitem(sys.modules, "openrlhf.utils.distributed_util", barrier)

    def rebuild(*arguments: Any) -> torch.Tensor:
        assert arguments[6] == 3
        return SENT[-1]

    def handle(whole: torch.Tensor) -> Any:
        SENT.append(whole)
        return rebuild, (0, 0, 0, 0, 0, 0, "the sender's", 0)

    monkeypatch.setattr("torch.multiprocessing.reductions.reduce_tensor", handle)
    engine = Engine()
    engine.worker.device = SimpleNamespace(index=3)
    for bucket in in_buckets(model().items()):
        send_by_handle(trainer([engine]), bucket, False)
    assert arrived(engine)


def test_other_ranks_send_nothing_over_the_group(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    send_by_group(trainer([Engine()]), in_buckets(model().items())[0], True)
    assert SENT == []


def test_another_type_than_the_engines_is_refused(alone: None) -> None:
    with pytest.raises(TypeError, match=r"embed comes as torch\.bfloat16, the engine's is torch\.float16"):
        send_by_group(trainer([Engine(torch.float16)]), in_buckets(model().items())[0], True)


def test_merged_weights_are_made_one_at_a_time() -> None:
    """What LoRA makes of a parameter is added up when its data is asked for."""
    alive: list[str] = []

    class Whole:
        dtype, shape = torch.bfloat16, torch.Size([4])

        def __init__(self, name: str) -> None:
            self.name = name

        @property
        def data(self) -> torch.Tensor:
            alive.append(self.name)
            return torch.full((4,), float(len(alive)), dtype=torch.bfloat16)

    [bucket] = in_buckets([(name, Whole(name)) for name in "xyz"])
    assert laid_out(bucket).tolist() == [1.0] * 4 + [2.0] * 4 + [3.0] * 4
    assert alive == ["x", "y", "z"]


class Upstream:
    def broadcast_to_vllm(self) -> None:
        return None


def test_another_upstream_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(ActorPPOTrainer=Upstream)
    with pytest.raises(RuntimeError, match=r"another Upstream\.broadcast_to_vllm of openrlhf"):
        send_buckets(module)
    refuse_other_source(Upstream, {"broadcast_to_vllm": digest_of(Upstream.broadcast_to_vllm)})


@pytest.mark.parametrize(("parallel", "with_ray"), [(2, False), (1, True)])
def test_other_ways_of_sending_are_refused(parallel: int, with_ray: bool) -> None:
    arguments = SimpleNamespace(
        ds=SimpleNamespace(tensor_parallel_size=parallel), vllm=SimpleNamespace(sync_with_ray=with_ray)
    )
    with pytest.raises(RuntimeError, match="not sent in buckets"):
        refuse_other_ways(arguments)


def test_a_bucket_is_gathered_at_once_and_let_go(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more parameters whole than a bucket has."""
    noted: list[Any] = []

    @contextlib.contextmanager
    def gathered(bucket: list[Any], zero_stage: int) -> Any:
        noted.append((zero_stage, [name for name, _ in bucket]))
        yield
        noted.append("let go")

    monkeypatch.setattr(weight_buckets, "gathered", gathered)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    barrier = SimpleNamespace(torch_dist_barrier_and_cuda_sync=lambda: noted.append("all"))
    monkeypatch.setitem(sys.modules, "openrlhf.utils.distributed_util", barrier)
    engine = Engine()
    own = trainer([engine])
    own.use_cuda_ipc = False
    own.strategy = SimpleNamespace(
        args=SimpleNamespace(ds=SimpleNamespace(tensor_parallel_size=1, zero_stage=3), vllm=SimpleNamespace())
    )
    own.actor = SimpleNamespace(model=SimpleNamespace(module=SimpleNamespace(named_parameters=lambda: model().items())))
    weight_buckets.broadcast_to_vllm(own)
    assert noted == [(3, ["embed"]), "let go", (3, ["a", "b", "c", "d"]), "let go", "all"]
    assert arrived(engine)
