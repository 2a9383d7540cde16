"""The hooks in the process of vLLM's engine, which vLLM starts itself, so that Ray's set-up hook does not run there.

vLLM imports its worker extension there by name. The hooks have it import this module, which is upstream's extension
with the hooks installed first.
"""

from deepscaler.training.openrlhf.hooks import install

install()

from openrlhf.trainer.ray.vllm_worker_wrap import WorkerWrap  # noqa: E402

__all__ = ["WorkerWrap"]
