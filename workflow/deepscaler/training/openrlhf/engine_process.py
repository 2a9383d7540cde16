"""The hooks in the process of vLLM's engine, which vLLM starts itself, so that Ray's set-up hook does not run there.

vLLM imports its worker extension there by name. The hooks have it import this module, which is upstream's extension
with the hooks installed first, and which answers for the weights that it has loaded (weight_checksums.py).
"""

from typing import Any

from deepscaler.training.openrlhf import weight_checksums
from deepscaler.training.openrlhf.hooks import install

install()

from openrlhf.trainer.ray import vllm_worker_wrap as upstream  # noqa: E402


class WorkerWrap(upstream.WorkerWrap):
    """Upstream's, beside vLLM's worker as its second base."""

    def update_weight(self, name: str, dtype: Any, shape: Any, empty_cache: bool = False) -> Any:
        if name == weight_checksums.QUESTION:
            return weight_checksums.of_engine(self)
        return super().update_weight(name, dtype, shape, empty_cache)
