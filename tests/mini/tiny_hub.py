"""Two tiny models with random weights and two test sets, as the hub's downloads leave them, and their settings.

What such a model says is worthless; everything about how it is fetched, asked, cut, kept and counted is as for any.
"""

import json
from pathlib import Path

import yaml
from deepscaler.miniature.tokenizer import build_tokenizer
from deepscaler.settings import systems

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SYSTEMS = {
    "thinking": {"think": "prefilled", "separator": " ", "suffix": "Put the answer in a \\boxed{}."},
    "instruct": {"think": "none", "separator": " ", "suffix": "", "system": "Box it."},
}
CHATML = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
SCALE = {
    "description": "Two tiny systems",
    "device": "cpu",
    "seed": 7,
    "base": "thinking",
    "evaluation": {
        "systems": [*SYSTEMS, "o1-preview"],
        "suites": {"table": ["first", "second"]},
        "shards": {"table": 1},
        "samples": 4,
        "max_new_tokens": 64,
        "context": 256,
    },
    "resources": {"default": {"mem_mb": 2000, "minutes": 10, "cpus": 1}},
}


def build(project: Path, scale: dict) -> None:
    """Fill `project`/hub, and add the models, the sets and the scale `tiny` to `project`/config."""
    for name in SYSTEMS:
        write_model(project / "hub" / "acme" / name, CHATML if name == "instruct" else None)
    for name in ("first", "second"):
        data = project / "hub" / "datasets" / "acme" / name
        data.mkdir(parents=True)
        rows = [{"problem": f"add:a{i}b{len(name)}c3", "answer": [str(i)]} for i in range(6)]
        (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    extend(project / "config/models.yaml", {name: published(name, how) for name, how in SYSTEMS.items()})
    columns = {"first": "aime_2024", "second": "math_500"}
    extend(project / "config/benchmarks.yaml", {name: benchmark(name, column) for name, column in columns.items()})
    (project / "config/scales/tiny.yaml").write_text(yaml.safe_dump(scale))


def write_model(folder: Path, template: str | None) -> None:
    """A model of the miniature's shape with random weights, as `hf download --local-dir` leaves one."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = build_tokenizer(systems()["mini-base"].prompting.suffix)
    tokenizer.chat_template = template or tokenizer.chat_template
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=(len(tokenizer) + 63) // 64 * 64,
        **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"num_key_value_heads": 1, "max_position_embeddings": 2048, "tie_word_embeddings": False},
        **{"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    record = folder / ".cache/huggingface/download/config.json.metadata"
    record.parent.mkdir(parents=True)
    record.write_text(f"{COMMIT}\netag\n0.0\n")


def published(name: str, prompting: dict) -> dict:
    return {
        **{"kind": "published", "title": name.title(), "parameters": 0.001, "repository": f"acme/{name}"},
        **{"revision": COMMIT, "prompting": prompting, "paper": {"aime_2024": 1.5}},
    }


def benchmark(name: str, column: str) -> dict:
    entry = {"kind": "hub", "title": name, "column": column, "size": 6, "repository": f"acme/{name}"}
    return {**entry, "files": {"test.jsonl": None}, "fields": {"problem": "problem", "answers": "answer"}}


def extend(path: Path, entries: dict) -> None:
    path.write_text(path.read_text() + yaml.safe_dump(entries))
