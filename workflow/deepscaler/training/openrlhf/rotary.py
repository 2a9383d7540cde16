"""The trainer's rotary frequencies at ZeRO 3, in fp32 as the sampler has them.

At ZeRO 3 a model is made within DeepSpeed's `zero.Init`, in which every new tensor of floats becomes bf16; so do the
frequencies of the rotary embedding, which are computed there and are no weights. A frequency is then wrong by up to
0.2 %, and the angle at token 24,000 by up to 48 radians: trainer and reference would be other models than the one that
samples. Later DeepSpeed takes care to leave them in fp32; they only have to be so once more.
"""

from typing import Any

NAMES = ("inv_freq", "original_inv_freq")


def keep_frequencies(module: Any) -> None:
    """Patch `openrlhf.models.actor`, whose model policy and reference are."""
    make = module.Actor.__init__

    def make_with_frequencies(self: Any, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        restore(self.model)

    module.Actor.__init__ = make_with_frequencies


def restore(model: Any) -> None:
    """Compute frequencies that are not in fp32 anew, outside of `zero.Init`."""
    import torch

    for part in model.modules():
        rounded = getattr(part, NAMES[0], None)
        if isinstance(rounded, torch.Tensor) and rounded.dtype != torch.float32:
            fresh = type(part)(part.config)
            for name in NAMES:
                setattr(part, name, getattr(fresh, name).to(rounded.device))
