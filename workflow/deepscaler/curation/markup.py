"""Text that an engine or a tokenizer takes for markup: a problem that holds it is not what the model would read.

OpenRLHF splits prompts at `<image>` and asks the chat template for a picture, which ends the run (its
datasets/prompts_dataset.py). Tokenizers turn the literal text of a special token into that token: an end of turn within
a problem ends it there. `select_gradable` looks for those of the base model's own tokenizer besides.
"""

import re

ENGINE_MARKUP = re.compile(
    r"<(?:image|video|audio)(?:_pad|_soft_token)?>|<(?:start|end)_of_(?:turn|image)>|</?(?:img|think|tool_call|tool_response)>"
    r"|<[|\uff5c][^<>|\uff5c\n]{1,64}[|\uff5c]>|</?s>|<(?:pad|unk|bos|eos|mask)>"
    r"|<(?:extra_id|fim|reserved|unused)_[a-z0-9_]{1,32}>|<</?SYS>>"
    r"|\[/?(?:INST|IMG|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|SYSTEM_PROMPT)\]"
)
"""The markers of images, video and sound, of turns and of thinking in the model families that the engines serve."""


def engine_markup(text: str) -> str | None:
    """The first piece of a text that engines take for markup; None where there is none."""
    found = ENGINE_MARKUP.search(text)
    return found.group() if found else None
