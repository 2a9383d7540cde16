"""Text that an engine or a tokenizer takes for markup: a problem that holds it is not what the model would read.

OpenRLHF splits prompts at `<image>` and asks the chat template for a picture, which ends the run (datasets/
prompts_dataset.py). Tokenizers turn the literal text of a special token into that token: an end of turn within a problem
ends it there. `select_gradable` looks for those of the base model's own tokenizer besides.
"""

import re

ENGINE_MARKUP = re.compile(
    r"<\s?/?\s?(?:image|video|audio|img|pad|unk|bos|eos|mask|cls|sep|s|think|answer|tool_call|tool_response"
    r"|start_of_turn|end_of_turn|start_of_image|end_of_image|box|quad|ref|object)(?:_pad|_soft_token)?\s?/?\s?>"
    r"|<[|\uff5c][^<>|\uff5c\n]{1,64}[|\uff5c]>"
    r"|<(?:extra_id|fim|repo|file|gh|issue|jupyter|commit|reserved|unused|special)_?[a-z0-9_]{0,32}>"
    r"|\[/?(?:INST|IMG|IMG_BREAK|IMG_END|TOOL_CALLS|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|MASK|PAD|CLS|SEP|UNK)\]"
    r"|<</?SYS>>",
    re.IGNORECASE,
)
"""The markers of images, video and sound, of turns and of thinking in the model families that the engines serve."""


def engine_markup(text: str) -> str | None:
    """The first piece of a text that engines take for markup; None where there is none."""
    found = ENGINE_MARKUP.search(text)
    return found.group() if found else None
