"""The hooks in the process of vLLM's engine, which vLLM starts itself, so that Ray's set-up hook does not run there.

vLLM imports its worker extension there by name. The hooks have it import this module, which is upstream's extension
with the hooks installed first, which takes weights in buckets (weight_buckets.py), and which answers for those that it
has loaded (weight_checksums.py).
"""

from typing import Any

from deepscaler.training.openrlhf import weight_buckets, weight_checksums
from deepscaler.training.openrlhf.hooks import install

install()

from openrlhf.trainer.ray import vllm_worker_wrap as upstream  # noqa: E402

weight_buckets.refuse_other_source(upstream.WorkerWrap, weight_buckets.RECEIVING)


class WorkerWrap(upstream.WorkerWrap):
    """Upstream's, beside vLLM's worker as its second base."""

    def update_weight(self, name: Any, dtype: Any, shape: Any, empty_cache: bool = False) -> Any:
        """`name` and `shape` are lists, of a bucket's weights; or `name` is the question for checksums."""
        if name == weight_checksums.QUESTION:
            return weight_checksums.of_engine(self)
        return weight_buckets.receive_by_group(self, name, dtype, shape)

    def update_weight_cuda_ipc(
        self, name: Any, dtype: Any, shape: Any, ipc_handles: Any = None, empty_cache: bool = False
    ) -> None:
        weight_buckets.receive_by_handle(self, name, shape, ipc_handles)
