"""The miniature's base model, distilled from scratch: a Qwen2 that reasons in three ways, two of them wasteful.

It plays DeepSeek-R1-Distill-Qwen-1.5B's part: it can reason, but writes more than it needs and is often cut off.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepscaler import settings
from deepscaler.errors import UserError, refuse_unknown
from deepscaler.files import write_json, writing
from deepscaler.miniature.problems import DIGITS, LETTERS, ChainProblem
from deepscaler.miniature.tokenizer import tokenizer_for
from deepscaler.miniature.traces import draw_traces, line_start
from deepscaler.models.kept import keep, kept_folder, put_back
from deepscaler.models.manifest import NAME, manifest_for
from deepscaler.models.supervised import Example, fine_tune
from deepscaler.models.templates import prompts_token_ids, token_ids
from deepscaler.settings.distillation import Architecture, Distillation
from deepscaler.settings.models import Distilled, Prompting
from deepscaler.versions import installed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DECLARED = (NAME, "model.safetensors")
"""The files that the rule declares."""
PACKAGES = ["deepscaler", "torch", "transformers", "tokenizers"]


def distill_base(*, scale: str, system: str, output: Path, threads: int) -> None:
    """Distil `system` (a `distilled` entry of config/models.yaml) and put its folder, with model.json, in place.

    The folder appears whole when all is done. Equal settings, seed, threads and machine give equal weights; those of
    equal settings and versions that are still there are put in place.
    """
    entry, seed = distilled_entry(system), settings.load_scale(scale).seed
    if output.name != NAME:
        raise UserError(f"--output must be a folder's {NAME}", output)
    made_with = {name: installed(name) for name in PACKAGES if name != "deepscaler"}
    decided = [entry.distillation.model_dump(), entry.prompting.model_dump(), seed, made_with]
    kept = kept_folder(output.parent, decided)
    if put_back(output.parent, kept):
        print(f"{system} is distilled already; its weights are put in place (kept in {kept})", flush=True)
        return
    tokenizer, model = distil(entry.distillation, entry.prompting, seed, threads)
    with writing(output.parent) as folder:
        save(model, tokenizer, folder)
        manifest = manifest_for(folder, system, packages=PACKAGES, seed=seed)
        write_json(folder / NAME, manifest.model_dump())
    keep(output.parent, DECLARED, kept)


def distilled_entry(system: str) -> Distilled:
    known = settings.systems()
    if system not in known:
        raise refuse_unknown("model", system, list(known), "--system")
    entry = known[system]
    if not isinstance(entry, Distilled):
        raise UserError(f"model {system!r} is {entry.kind}, not distilled", "config/models.yaml")
    return entry


def distil(plan: Distillation, prompting: Prompting, seed: int, threads: int) -> tuple["PreTrainedTokenizerFast", Any]:
    """A tokenizer and a trained model in fp32."""
    import torch

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    tokenizer = tokenizer_for(prompting)
    model = make_model(plan.architecture, tokenizer)
    compose_terms(model, tokenizer)
    clean = examples(tokenizer, prompting, plan, draw_traces(f"{seed}/clean", plan.clean_traces, plan.clean))
    mixed = examples(tokenizer, prompting, plan, draw_traces(f"{seed}/mixed", plan.mixed_traces, plan.mixed))
    parameters = sum(weight.numel() for weight in model.parameters())
    print(f"{parameters:,} parameters, {len(clean):,} clean and {len(mixed):,} wasteful traces", flush=True)
    loss = fine_tune(model, clean, mixed, plan, f"{seed}/batches")
    print(f"distilled: loss {loss:.4f} on wasteful traces", flush=True)
    return tokenizer, model


def examples(
    tokenizer: Any, prompting: Prompting, plan: Distillation, traces: list[tuple[ChainProblem, str]]
) -> list[Example]:
    """Traces as token ids; one that is too long is cut and so has no end token."""
    prompts = prompts_token_ids(tokenizer, [problem.text for problem, _ in traces], prompting)
    written = token_ids(tokenizer, [response for _, response in traces])
    ended = ([*ids, tokenizer.eos_token_id][: plan.max_response_tokens] for ids in written)
    return list(zip(prompts, ended, strict=True))


def make_model(architecture: Architecture, tokenizer: Any) -> Any:
    """A Qwen2 model with random weights; its vocabulary is rounded up, as real ones are."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    multiple = architecture.vocabulary_multiple
    config = Qwen2Config(
        **architecture.model_dump(exclude={"rope_theta", "vocabulary_multiple"}),
        vocab_size=-(-len(tokenizer) // multiple) * multiple,
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": architecture.rope_theta},
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM(config)


def compose_terms(model: Any, tokenizer: Any) -> None:
    """Let a term's embedding start as the sum of its letter's, as lines name it, and its digit's.

    A line that names a letter has to find that letter's term in the problem and read its digit. With embeddings that
    know nothing of each other that is 260 facts to learn, and the letters of long problems are seldom seen.
    """
    import torch

    embeddings = model.get_input_embeddings().weight
    index = tokenizer.convert_tokens_to_ids
    with torch.no_grad():
        for letter in LETTERS:
            for digit in DIGITS:
                embeddings[index(letter + digit)] = embeddings[index(line_start(letter))] + embeddings[index(digit)]


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Weights in bf16, configuration, generation defaults, tokenizer and chat template, as engines load them."""
    import torch

    model = model.to(torch.bfloat16)
    model.config.dtype = "bfloat16"
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.generation_config, name, getattr(tokenizer, name))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
