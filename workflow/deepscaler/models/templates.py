"""Prompts: a problem as chat messages, and those as the token ids that an engine gets.

Training, curation and evaluation all take their prompts from here, so that a model meets the same bytes everywhere.
The chat template is the one that lies with the model's tokenizer; `fetch_model` pins it with the weights.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepscaler.errors import UserError
from deepscaler.files import read_json
from deepscaler.settings.models import Prompting

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json")


def chat_messages(problem: str, prompting: Prompting) -> list[dict[str, str]]:
    """One user turn, after the system's where there is one: the shape of deepscaler/data's prompts upstream."""
    content = f"{problem}{prompting.separator}{prompting.suffix}" if prompting.suffix else problem
    system = [{"role": "system", "content": prompting.system}] if prompting.system else []
    return [*system, {"role": "user", "content": content}]


def prompt_text(tokenizer: Any, problem: str, prompting: Prompting) -> str:
    """The prompt as the model's chat template writes it, up to where its answer starts."""
    if not tokenizer.chat_template:
        raise UserError("the tokenizer has no chat template", tokenizer.name_or_path)
    messages = chat_messages(problem, prompting)
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def prompt_token_ids(tokenizer: Any, problem: str, prompting: Prompting) -> list[int]:
    """The prompt's token ids. The template writes the special tokens itself, so none are added a second time.

    UserError where the problem holds one: it would end the user's turn, and what follows would be anyone's.
    """
    return prompts_token_ids(tokenizer, [problem], prompting)[0]


def prompts_token_ids(tokenizer: Any, problems: Sequence[str], prompting: Prompting) -> list[list[int]]:
    """The same for many problems at once, in a third of the time."""
    reserved = special_tokens(tokenizer)
    for problem in problems:
        if token := first_in(problem, reserved):
            raise UserError(f"a problem holds the special token {token!r}: {problem[:60]!r}", None, "leave it out")
    texts = [prompt_text(tokenizer, problem, prompting) for problem in problems]
    return token_ids(tokenizer, texts)


def token_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Texts as token ids, with nothing added."""
    return [list(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]] if texts else []


def special_tokens(tokenizer: Any) -> list[str]:
    """The texts that a tokenizer reads as one of its special tokens, wherever they stand."""
    added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    return sorted({token for token in (*tokenizer.all_special_tokens, *added) if token})


def special_token_in(tokenizer: Any, problem: str) -> str | None:
    """A special token of the model's that a problem's text would be read as, or None."""
    return first_in(problem, special_tokens(tokenizer))


def first_in(problem: str, tokens: Sequence[str]) -> str | None:
    return next((token for token in tokens if token in problem), None)


def load_tokenizer(folder: Path | str) -> Any:
    """The tokenizer of a local model folder, or a UserError when it is missing or broken. No code of a model is run."""
    if not any((Path(folder) / name).is_file() for name in VOCABULARIES):  # transformers would make an empty one
        raise UserError("no tokenizer can be loaded: none of its files is there", folder, "expected tokenizer.json")
    for path in sorted(Path(folder).glob("*.json")):
        if not path.name.endswith(".safetensors.index.json"):
            read_json(path)  # of bounded size and depth, which transformers does not ask for
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"no tokenizer can be loaded: {first}", folder, "tokenizer.json and tokenizer_config.json belong there"
        ) from None
