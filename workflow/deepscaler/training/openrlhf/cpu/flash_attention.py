"""flash_attn is imported unconditionally (openrlhf/models/ring_attn_utils.py) and has no CPU build.

The replacements do what the few functions that are used do: gather rows, and pack a padded batch and unpack it, for
which transformers has plain versions. Attention itself is computed by sdpa; see `settings`.
"""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def apply() -> None:
    import einops
    import transformers.modeling_flash_attention_utils as plain

    def gather_rows(tensor: Any, indices: Any) -> Any:
        return tensor[indices]

    replace_module("flash_attn")
    replace_module(
        "flash_attn.bert_padding",
        index_first_axis=gather_rows,
        pad_input=plain._pad_input,
        unpad_input=plain._unpad_input,
        rearrange=einops.rearrange,
    )
    replace_module("flash_attn.utils")
    replace_module("flash_attn.utils.distributed", all_gather=None)  # ring attention's, which needs several GPUs


def replace_module(name: str, **names: Any) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__path__ = []
    vars(module).update(names)
    sys.modules[name] = module
