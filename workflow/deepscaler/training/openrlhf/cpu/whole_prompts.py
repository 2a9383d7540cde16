"""vLLM never cuts a prompt's prefill in two.

A rollout's request has a seed, and after a part of a prompt vLLM sets the request's generator back
(vllm/v1/worker/gpu_model_runner.py): `CPU Generator does not use offset`. How many prompts are in line when a step of
the engine begins depends on arrival, so the error would come now and then.
"""

from typing import Any

from deepscaler.training.openrlhf.when_imported import when_imported


def apply() -> None:
    def patch(module: Any) -> None:
        post_init = module.EngineArgs.__post_init__

        def whole(self: Any) -> None:
            self.enable_chunked_prefill = False
            post_init(self)

        module.EngineArgs.__post_init__ = whole

    when_imported("vllm.engine.arg_utils", patch)
