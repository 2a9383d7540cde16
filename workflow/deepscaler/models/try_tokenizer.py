"""A fetched model's tokenizer and chat template, tried in a process of their own before anything depends on them.

A template is a program (Jinja, in a sandbox), a tokenizer a file of any size: both may take for ever, or all memory.
And transformers reads a tokenizer by the class that its configuration names, which may be another than tokenizer.json
is of: then the model would see other text than it was trained on, such as text without its spaces.
"""

import multiprocessing
import os
import resource
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from deepscaler.errors import UserError
from deepscaler.models.templates import load_tokenizer, prompt_text
from deepscaler.settings.models import Prompting

SECONDS = 60
MEMORY_BYTES = 4 << 30
"""Beyond what the process has when it starts."""
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
    # here, so that the process that is limited need not import them
    import tokenizers  # noqa: F401
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: F401
    from transformers.utils import chat_template_utils  # noqa: F401

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=answer, args=(sender, folder, prompting), daemon=True)
    process.start()
    sender.close()
    try:
        told = receiver.recv_bytes(1 << 24).decode() if receiver.poll(2 * SECONDS) else ""
    except (EOFError, OSError):
        told = ""
    process.kill()
    process.join()
    kind, _, text = told.partition(" ")
    if kind == "template":
        return text or None
    if kind == "refused":
        raise UserError(text, folder, "kept there, and not used")
    raise UserError(
        f"its tokenizer or chat template does not come to an end within {SECONDS} s and {MEMORY_BYTES >> 30} GB",
        folder,
        "kept there, and not used",
    )


def answer(sender: Connection, folder: Path, prompting: Prompting) -> None:
    """In the process: try, and tell `template TEXT` or `refused REASON`; nothing where a limit ends it first."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        sender.send_bytes(f"template {attempt(folder, prompting)}".encode())
    except UserError as error:
        sender.send_bytes(f"refused {error.what}".encode()[: 1 << 16])
    except MemoryError:
        os._exit(1)
    except Exception as error:  # Jinja's and transformers' errors have no common class
        lines = str(error).strip().splitlines() or [""]
        sender.send_bytes(f"refused its chat template fails: {type(error).__name__}: {lines[0][:200]}".encode())


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
