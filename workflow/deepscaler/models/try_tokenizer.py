"""A fetched model's tokenizer and chat template, tried in a process of their own before anything depends on them.

A template is a program (Jinja, in a sandbox), a tokenizer a file of any size: both may take for ever, or all memory.
And transformers reads a tokenizer by the class that its configuration names, which may be another than tokenizer.json
is of: then the model would see other text than it was trained on, such as text without its spaces.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from deepscaler.errors import UserError
from deepscaler.models.templates import load_tokenizer, prompt_text
from deepscaler.settings.models import Prompting

SECONDS = 60
MEMORY_BYTES = 4 << 30
"""Beyond what the process has when it starts."""
START_SECONDS = 300
"""For its imports, on a busy computer with a slow disk."""
LONGEST_PROMPT = 100_000
"""Characters of a prompt for a short problem."""
TEXTS = (
    "How many ways are there to do it?",
    "Find $x$ if $\\frac{x}{2} = 3$ and  two  blanks stand here.\n\n\tThen: 1,234.5 %",
    "Größe ≤ π, 東京 №7",
)


def tried_template(folder: Path, prompting: Prompting) -> str | None:
    """The chat template of a model's folder, None where it has none.

    UserError where tokenizer or template can't be used, don't end, or don't say what tokenizer.json does.
    """
    limits = [str(SECONDS), str(MEMORY_BYTES)]
    command = [sys.executable, "-m", "deepscaler.models.try_tokenizer", str(folder.resolve()), *limits]
    try:
        run = subprocess.run(
            command, input=prompting.model_dump_json().encode(), capture_output=True, timeout=START_SECONDS, check=False
        )
        told = json.loads(run.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError):
        raise UserError(
            f"its tokenizer or chat template does not come to an end within {SECONDS} s and {MEMORY_BYTES >> 30} GB",
            folder,
            "kept there, and not used",
        ) from None
    if refusal := told.get("refused"):
        raise UserError(refusal, folder, "kept there, and not used")
    return told["template"] or None


def main() -> None:
    """Try, and print `{"template": …}` or `{"refused": …}` as the last line; nothing where a limit ends it first."""
    folder, seconds, memory = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    prompting = Prompting.model_validate_json(sys.stdin.read())
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import_engines()
    signal.alarm(seconds)  # ends the process
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory,) * 2)
    try:
        told = {"template": attempt(folder, prompting)}
    except UserError as error:
        told = {"refused": error.what[:2000]}
    except MemoryError:
        os._exit(1)
    except Exception as error:  # Jinja's and transformers' errors have no common class
        lines = str(error).strip().splitlines() or [""]
        told = {"refused": f"its chat template fails: {type(error).__name__}: {lines[0][:200]}"}
    print("\n" + json.dumps(told), flush=True)


def import_engines() -> None:
    """What takes long to import counts against no limit."""
    import tokenizers  # noqa: F401
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: F401
    from transformers.utils import chat_template_utils  # noqa: F401


def attempt(folder: Path, prompting: Prompting) -> str:
    tokenizer = load_tokenizer(folder)
    compare_with_file(tokenizer, folder / "tokenizer.json")
    template: str = tokenizer.chat_template or ""
    for text in TEXTS if template else ():
        prompt = prompt_text(tokenizer, text, prompting)
        if len(prompt) > LONGEST_PROMPT:
            raise UserError(f"its chat template makes {len(prompt)} characters of a problem of {len(text)}")
        if text.strip() not in prompt:
            raise UserError(f"its chat template leaves the problem out: {prompt[:200]!r}")
    return template


def compare_with_file(tokenizer: object, file: Path) -> None:
    """Refuse a tokenizer that is not what its tokenizer.json says."""
    from tokenizers import Tokenizer

    if not file.is_file():
        return
    written = Tokenizer.from_file(str(file))
    for text in TEXTS:
        ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])  # type: ignore[operator]
        if ids != written.encode(text, add_special_tokens=False).ids:
            seen = tokenizer.decode(ids)  # type: ignore[attr-defined]
            raise UserError(
                f"transformers reads its tokenizer as {type(tokenizer).__name__}, by which {text!r} becomes {seen!r}; "
                "tokenizer.json says otherwise (tokenizer_class in tokenizer_config.json names the wrong class)"
            )


if __name__ == "__main__":
    main()
