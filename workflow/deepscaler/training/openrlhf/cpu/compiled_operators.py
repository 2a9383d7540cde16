"""Torch's operators in place of DeepSpeed's C++ ones, so that nothing is compiled at the first start.

For a CPU, DeepSpeed builds its fused Adam and a shared-memory all-reduce when they are first used: over a minute on
two cores, and a C++ compiler on the user's computer. Torch's AdamW is the same mathematics, and gloo reduces as
well; at the miniature's size neither is slower.
"""

from typing import Any

from deepscaler.training.openrlhf.when_imported import when_imported


def apply() -> None:
    def without_shared_memory(module: Any) -> None:
        module.build_shm_op = lambda: None

    def with_torch_adam(module: Any) -> None:
        get_train_ds_config = module.get_train_ds_config

        def config(*arguments: Any, optim_config: Any = None, **named: Any) -> Any:
            if optim_config is not None and optim_config["type"] == "AdamW":
                optim_config = {**optim_config, "params": {**optim_config["params"], "torch_adam": True}}
            return get_train_ds_config(*arguments, optim_config=optim_config, **named)

        module.get_train_ds_config = config

    when_imported("deepspeed.comm.torch", without_shared_memory)
    when_imported("openrlhf.utils.deepspeed.deepspeed", with_torch_adam)
