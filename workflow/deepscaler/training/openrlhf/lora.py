"""With LoRA, the weights that leave the trainer are whole, patched into OpenRLHF's modules as `hooks` does.

The trainer then has peft's model: frozen weights under names of peft's own, with two small matrices A and B beside
them. Upstream sends just those to vLLM, which knows neither such names nor such tensors, and saves the adapters alone:

1. **Sending.** vLLM gets W + scale·BA under the model's own names. One weight at a time is merged, when it is sent;
   the frozen ones are never written to, which in bf16 could not be undone. At ZeRO 3 each GPU has the whole model
   meanwhile.
2. **Saving.** The export has the same whole weights, like that of any training, so what comes after (the next stage,
   the sampler) knows nothing of LoRA. The adapters are beside it in `adapter/`, in peft's format.
3. **Dropout.** Its masks follow from the seed and the update, not from what the process has drawn before: a run that
   was killed goes on with those that it would have had.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from deepscaler.training.openrlhf.bounds import Bounds

MADE_FOR = "0.21.2"
"""peft's."""
ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"


class WholeWeight:
    """W, or W + scale·BA where a layer has adapters, with what OpenRLHF uses of a parameter.

    It is added up when its data is asked for. To DeepSpeed it is no parameter, so that nothing is gathered for it.
    """

    requires_grad = True

    def __init__(self, weight: Any, layer: Any = None) -> None:
        self.weight, self.layer = weight, layer

    @property
    def data(self) -> Any:
        """Added up in fp32, rounded once."""
        if self.layer is None:
            return self.weight.data
        [name] = self.layer.active_adapters
        a, b = (matrices[name].weight.data.float() for matrices in (self.layer.lora_A, self.layer.lora_B))
        return (self.weight.data.float() + self.layer.scaling[name] * (b @ a)).to(self.weight.dtype)

    @property
    def dtype(self) -> Any:
        return self.weight.dtype

    @property
    def shape(self) -> Any:
        return self.weight.shape

    ds_shape = shape


class WholeModel:
    """What peft's model comes to, with what OpenRLHF uses of a model to send and to save it."""

    def __init__(self, adapted: Any) -> None:
        check_version()
        self.adapted, self.base = adapted, adapted.get_base_model()
        self.config, self.save_pretrained = self.base.config, self.base.save_pretrained

    @property
    def module(self) -> "WholeModel":
        """As of DeepSpeed's engine."""
        return self

    def named_parameters(self) -> list[tuple[str, WholeWeight]]:
        """Under the names that the model has without adapters, in its order."""
        from peft.tuners.lora import LoraLayer

        found = []
        for name, parameter in self.base.named_parameters():
            if ".lora_" in name:
                continue
            own, wrapped, kind = name.partition(".base_layer.")
            layer = self.base.get_submodule(own) if wrapped else None
            has_adapters = isinstance(layer, LoraLayer) and kind == "weight"
            whole = WholeWeight(parameter, layer if has_adapters else None)
            found.append((f"{own}.{kind}" if wrapped else name, whole))
        return found

    def state_dict(self) -> dict[str, Any]:
        return {name: weight.data.cpu() for name, weight in self.named_parameters()}

    _consolidated_16bit_state_dict = state_dict

    def save_adapter(self, folder: Path) -> None:
        """In peft's format, without the path of the weights that it belongs to: those that the stage started from."""
        from peft import get_peft_model_state_dict
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = get_peft_model_state_dict(self.adapted, save_embedding_layers=False)
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, folder / ADAPTER_WEIGHTS)
        config = {**self.adapted.peft_config["default"].to_dict(), "base_model_name_or_path": None}
        text = json.dumps(config, indent=2, sort_keys=True, default=sorted)  # what JSON lacks in it are sets
        (folder / ADAPTER_CONFIG).write_text(text + "\n", encoding="utf-8")


def check_version() -> None:
    from importlib.metadata import version

    if version("peft") != MADE_FOR:
        raise RuntimeError(
            f"deepscaler/training/openrlhf/lora.py was made for peft {MADE_FOR}, not {version('peft')}: see what its "
            "LoraLayer is, then change MADE_FOR"
        )


def send_whole_weights(module: Any) -> None:
    """Of openrlhf.trainer.ray.ppo_actor: upstream's sending, of the whole model in place of peft's."""
    broadcast_to_vllm = module.ActorPPOTrainer.broadcast_to_vllm

    def whole(self: Any) -> None:
        adapted = self.actor.model.module
        if not is_adapted(adapted):
            broadcast_to_vllm(self)
            return
        actor, self.actor = self.actor, SimpleNamespace(model=WholeModel(adapted))
        try:
            with gathered(adapted, self.strategy):
                broadcast_to_vllm(self)
        finally:
            self.actor = actor

    module.ActorPPOTrainer.broadcast_to_vllm = whole


def save_whole_weights(module: Any) -> None:
    """Of openrlhf.utils.deepspeed.deepspeed: the same with its saving."""
    save_model = module.DeepspeedStrategy.save_model

    def whole(self: Any, model: Any, tokenizer: Any, output_dir: str, **named: Any) -> None:
        from deepscaler.training.run.checkpoint import ADAPTER

        adapted = self._unwrap_model(model)
        if not is_adapted(adapted):
            save_model(self, model, tokenizer, output_dir, **named)
            return
        with gathered(adapted, self):
            found = WholeModel(adapted)
            if self.is_rank_0():
                found.save_adapter(Path(output_dir) / ADAPTER)
            save_model(self, found, tokenizer, output_dir, **named)

    module.DeepspeedStrategy.save_model = whole


def gathered(adapted: Any, strategy: Any) -> Any:
    """While it is open, every rank has all parameters whole: at ZeRO 3 they are cut over the GPUs."""
    import deepspeed

    return deepspeed.zero.GatheredParameters(list(adapted.parameters()), enabled=strategy.args.ds.zero_stage == 3)


def seed_dropout(module: Any, bounds: Bounds) -> None:
    """Of openrlhf.trainer.ray.ppo_actor: DeepSpeed counts the stage's updates, and keeps the count in its states."""
    ppo_train = module.ActorPPOTrainer.ppo_train

    def seeded(self: Any, kl_ctl: float) -> dict[str, Any]:
        import torch

        engine = self.actor.model
        if is_adapted(engine.module):
            rank = torch.distributed.get_rank()
            torch.manual_seed(dropout_seed(self.args.train.seed, bounds.total_before, engine.global_steps, rank))
        status: dict[str, Any] = ppo_train(self, kl_ctl)
        return status

    module.ActorPPOTrainer.ppo_train = seeded


def dropout_seed(seed: int, total_before: int, updates: int, rank: int) -> int:
    """The seed of a step's masks on one rank: of the run, the stage's start and the updates since."""
    import hashlib

    digest = hashlib.sha256(f"{seed}/dropout/{total_before}/{updates}/{rank}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def is_adapted(model: Any) -> bool:
    from peft import PeftModel

    return isinstance(model, PeftModel)
