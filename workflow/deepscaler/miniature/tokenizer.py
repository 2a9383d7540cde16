"""The miniature's tokenizer: one character a token, whole terms and phrases, R1's special tokens and chat template."""

from typing import TYPE_CHECKING

from deepscaler.miniature.problems import DIGITS, FAMILIES, LETTERS
from deepscaler.miniature.traces import CLOSING, OPENINGS, TRY_AGAIN, added_to, line_start

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from deepscaler.settings.models import Prompting

END = "<｜end▁of▁sentence｜>"
BEGIN = "<｜begin▁of▁sentence｜>"
USER = "<｜User｜>"
ASSISTANT = "<｜Assistant｜>"

# As DeepSeek-R1-Distill's: the assistant's turn is opened with `<think>` for the model.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}<｜User｜>{{ message['content'] }}"
    "{% else %}<｜Assistant｜>{{ message['content'] }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)


def phrases(suffix: str) -> list[str]:
    """What is one token though it is several characters: keeps every trace within a few dozen tokens."""
    return [
        "<think>\n",
        CLOSING,
        suffix,
        "\\boxed{",
        "\\frac{",
        *OPENINGS.values(),
        TRY_AGAIN,
        *(f"{family}:" for family in FAMILIES),
        *(line_start(letter) for letter in LETTERS),
        *(f"{letter}{digit}" for letter in LETTERS for digit in DIGITS),
        *(f"={digit}" for digit in DIGITS),
        *dict.fromkeys(added_to(family, digit) for family in FAMILIES for digit in DIGITS),
        "}{11}",
        "0.",
    ]


def tokenizer_for(prompting: "Prompting") -> "PreTrainedTokenizerFast":
    """The tokenizer of a model that is distilled to be prompted so; it needs no weights."""
    return build_tokenizer(prompting.separator + prompting.suffix if prompting.suffix else "")


def build_tokenizer(suffix: str) -> "PreTrainedTokenizerFast":
    """A tokenizer for printable ASCII and newlines, in which `suffix` (with what precedes it) is one token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    special = [END, BEGIN, USER, ASSISTANT]
    characters = [byte_level.pre_tokenize_str(character)[0][0] for character in map(chr, (*range(32, 127), 10))]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys([*special, *characters]))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken(phrase, special=False, normalized=False) for phrase in phrases(suffix) if phrase])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=END,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
