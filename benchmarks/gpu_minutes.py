"""The measurements of gpu_minutes.sh, each in a process of its own; see there.

    python benchmarks/gpu_minutes.py train|update|engine RESULT.json [--toy]
    python benchmarks/gpu_minutes.py table FOLDER

`--toy` takes a model of a few thousand weights on a CPU, to try the code; its numbers say nothing of a GPU.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from deepscaler import settings
from deepscaler.cost.assumptions import ASSUMPTIONS
from deepscaler.cost.hardware import CARDS, R1_QWEN_1_5B, Card, Shape
from deepscaler.cost.memory import training_memory
from deepscaler.cost.workload import known_card

Json = dict[str, Any]
REPLACES = {
    "train": ["start_seconds", "save_seconds", "sync_seconds"],
    "update": ["flop_utilisation"],
    "engine": ["host_seconds", "sequence_seconds", "comparison_seconds"],
}
"""Item → assumptions of cost/assumptions.py that its figures of the same name replace. Those of `train` are a tiny
model's: what a large one takes beside moving its bytes."""
TOY = Shape(2, 64, 128, 2, 1, 512, head_size=32)
SCALE, SEGMENT = "gpu-minutes", "8k-1"
OWN_SCALE = {
    "extends": "mini",
    "description": "The miniature's first segment on one GPU, at ZeRO 3, killed after its third step",
    "device": "gpu",
    "training": {"layout": {stage: {"zero_stage": 3} for stage in ("8k", "16k", "24k")}},
    "rehearsal": {"of": "paper", "kill": {"segment": SEGMENT, "after_step": 3}},
}


def folder_of(shape: Shape, place: Path) -> Path:
    """A model's configuration, without weights."""
    from transformers import Qwen2Config

    Qwen2Config(
        architectures=["Qwen2ForCausalLM"],
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        vocab_size=shape.vocabulary,
        max_position_embeddings=131_072,
        tie_word_embeddings=False,
        dtype="bfloat16",
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    ).save_pretrained(place)
    return place


def this_card(toy: bool) -> Card:
    import torch

    return CARDS["a100"] if toy else CARDS[known_card(torch.cuda.get_device_name())]


def train(toy: bool) -> Json:
    """The workflow makes the segment as it makes a rehearsal's: killed once, submitted again, resumed, exported."""
    with tempfile.TemporaryDirectory() as name:
        own = Path(name) / "checkout"
        ignored = shutil.ignore_patterns(".git", ".venv*", ".snakemake", "logs", "work", "results", "__pycache__")
        shutil.copytree(settings.project_root(), own, symlinks=True, ignore=ignored)
        (own / "config/scales" / f"{SCALE}.yaml").write_text(yaml.safe_dump(OWN_SCALE), encoding="utf-8")
        environment = {**os.environ, "DEEPSCALER_ROOT": str(own), "PYTHONPATH": str(own / "workflow")}
        if not toy:
            deepscaler = Path(sys.executable).with_name("deepscaler")
            subprocess.run([deepscaler, "approve", "--scale", SCALE, "--gpu-hours", "1"], env=environment, check=True)
        target = f"work/{SCALE}/checkpoints/{SEGMENT}/checkpoint.json"
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/workstation", "--retries", "1"]
        begun = time.monotonic()
        command += ["--dry-run", "--", target] if toy else ["--", target]
        subprocess.run(command, cwd=own, env=environment, check=True)
        if toy:
            return {"checked": "the workflow knows how to make it; nothing was trained"}
        return seen(next((own / "work" / SCALE / "runs").glob(f"{SEGMENT}-*")), time.monotonic() - begun)


def seen(run: Path, seconds: float) -> Json:
    """What a run folder's own files tell."""
    from deepscaler.files import read_jsonl
    from deepscaler.training.watch.measured import read_phases
    from deepscaler.training.watch.metrics import VLLM_KL

    rows = list(read_jsonl(run / "metrics.jsonl"))
    taken: dict[str, list[float]] = {}
    for phase in read_phases(run / "measured"):
        taken.setdefault(phase.phase, []).append(phase.seconds)
    apart = max(abs(float(row[VLLM_KL])) for row in rows)
    weights = json.loads((run / "weights.json").read_text(encoding="utf-8"))
    return {
        "steps": len(rows),
        "killed_and_resumed": (run / "killed.json").exists(),
        "vllm_kl": apart,
        "weights_differing": weights["differing"],
        "seconds": {phase: round(min(values), 3) for phase, values in taken.items()},
        "start_seconds": max(taken["start"]),
        "save_seconds": min(taken["save"]),
        "sync_seconds": min(taken["sync"]),
        "wall_seconds": round(seconds),
        "as_it_should_be": apart < 1e-3 and not weights["differing"] and (run / "killed.json").exists(),
    }


def update(toy: bool) -> Json:
    """One micro-batch of 24K through OpenRLHF's own model class, random weights: peak memory and FLOP utilisation."""
    import torch

    if toy:
        from deepscaler.training.openrlhf import returns

        sys.path.insert(0, str(Path(returns.__file__).parent / "cpu" / "path"))
    from openrlhf.models.actor import Actor
    from transformers import AutoModelForCausalLM, Qwen2Config

    shape, place, length, count = (TOY, "cpu", 64, 2) if toy else (R1_QWEN_1_5B, "cuda", 8_533, 3)
    tokens = length * count
    with tempfile.TemporaryDirectory() as name:
        config = Qwen2Config.from_pretrained(folder_of(shape, Path(name)))
    attention = "sdpa" if toy else "flash_attention_2"
    torch.manual_seed(0)
    with torch.device(place):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation=attention)
    model.config.use_cache = False
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    actor = Actor(model, temperature=0.6)
    actor.packing_samples, actor.is_vlm = not toy, False
    sequences = torch.randint(5, shape.vocabulary, (count, length), device=place)
    mask = torch.ones_like(sequences)
    actions = mask[:, 1:].bool()

    def forward() -> None:
        with torch.no_grad():
            actor(sequences, actions, attention_mask=mask)

    def forward_and_backward() -> None:
        # as ppo_actor.py does: what the model gave out is alive while gradients are computed
        log_probs, output = actor(sequences, actions, attention_mask=mask, return_output=True)
        log_probs.float().mean().backward()
        del output
        model.zero_grad(set_to_none=True)

    model.eval()
    once = seconds_of(forward, place)
    model.train()
    if not toy:
        torch.cuda.reset_peak_memory_stats()
    both = seconds_of(forward_and_backward, place)
    matmul = 8 * shape.layer_matmul + 6 * shape.head_matmul + 4.5 * shape.attention_flop * length
    alone = 2 * (shape.layer_matmul + shape.head_matmul) + shape.attention_flop * length
    speed = this_card(toy).flop_per_second
    planned = training_memory(tokens, 1, 3, 0.6, shape)
    return {
        "tokens": tokens,
        "log_probability_seconds": once,
        "update_seconds": both,
        "log_probability_utilisation": tokens * alone / once / speed,
        "flop_utilisation": tokens * (alone + matmul) / (once + both) / speed,
        "peak_gb": None if toy else torch.cuda.max_memory_allocated() / 1e9,
        # weights and their gradients in bf16: no optimizer is here
        "planned_peak_gb": (planned.logits + planned.activations + 2 * shape.bytes) / 1e9,
    }


def seconds_of(function: Callable[[], None], place: str, rounds: int = 3) -> float:
    import torch

    taken = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        function()
        if place == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return fmean(taken[1:])  # the first one compiles


def engine(toy: bool) -> Json:
    """One engine with dummy weights: a request alone, 128 at once, those with log-probabilities; sleep and wake."""
    from vllm import LLM, SamplingParams

    shape, tokens, crowd = (TOY, 32, 4) if toy else (R1_QWEN_1_5B, 2_000, 128)
    with tempfile.TemporaryDirectory() as name:
        room: Json = {"gpu_memory_utilization": 0.1 if toy else 0.65}
        own = room | ({"enforce_eager": True} if toy else {"enable_sleep_mode": True})
        llm = LLM(
            model=str(folder_of(shape, Path(name))),
            skip_tokenizer_init=True,
            load_format="dummy",
            dtype="bfloat16",
            max_model_len=4096,
            max_num_seqs=128,
            seed=0,
            **own,
        )

    def step_seconds(requests: int, compared: bool) -> float:
        parameters = SamplingParams(
            temperature=0.6,
            max_tokens=tokens,
            ignore_eos=True,
            detokenize=False,
            logprobs=1 if compared else None,
        )
        prompts: Any = [{"prompt_token_ids": list(range(10 + n, 130 + n))} for n in range(requests)]
        begun = time.perf_counter()
        llm.generate(prompts, parameters, use_tqdm=False)
        return (time.perf_counter() - begun) / tokens

    step_seconds(crowd, False)  # warms up
    alone, many, compared = step_seconds(1, False), step_seconds(crowd, False), step_seconds(crowd, True)
    card = this_card(toy)
    context = 120 + tokens / 2
    cache = {count: count * context * shape.cache_bytes / (0.6 * card.bytes_per_second) for count in (1, crowd)}
    found: Json = {
        "requests": crowd,
        "alone_step_seconds": alone,
        "step_seconds": many,
        "compared_step_seconds": compared,
        "tokens_per_second": crowd / many,
        "compared_tokens_per_second": crowd / compared,
        "host_seconds": alone - shape.decode_bytes / (0.8 * card.bytes_per_second) - cache[1],
        "sequence_seconds": (many - alone - cache[crowd] + cache[1]) / (crowd - 1),
        "comparison_seconds": (compared - many) / crowd,
    }
    if not toy:
        for name, act in (("sleep_seconds", lambda: llm.sleep(level=1)), ("wake_seconds", llm.wake_up)):
            begun = time.perf_counter()
            act()
            found[name] = time.perf_counter() - begun
    return found


def table(folder: Path) -> str:
    """All items of a run: what became of each, its figures, and what they replace."""
    known = {entry.name: entry for entry in ASSUMPTIONS}
    lines = ["| item | ended | seconds | figure | measured | assumed |", "|---|---|---:|---|---:|---|"]
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    for item in results["items"]:
        row = f"| {item['item']} | {item['ended']} | {item['seconds']} |"
        figures = {
            name: value for name, value in item["figures"].items() if isinstance(value, bool | int | float | str)
        }
        for name, value in (figures or {"": ""}).items():
            replaced = known.get(name) if name in REPLACES.get(item["item"], []) else None
            words = f"`{name}` = {replaced.value:g} {replaced.unit} ({replaced.basis})" if replaced else ""
            shown = f"{value:.4g}" if isinstance(value, float) else value
            lines.append(f"{row} {name} | {shown} | {words} |")
            row = "| | | |"
    return "\n".join(lines) + "\n"


def gathered(folder: Path) -> Json:
    """results.json of the lines that gpu_minutes.sh wrote, and each item's own file."""
    items = []
    for line in (folder / "items.tsv").read_text(encoding="utf-8").splitlines():
        item, ended, seconds = line.split("\t")
        own = folder / f"{item}.json"
        figures = json.loads(own.read_text(encoding="utf-8")) if own.exists() else {}
        replaces = [name for name in REPLACES[item] if name in figures]
        items.append({"item": item, "ended": ended, "seconds": int(seconds), "replaces": replaces, "figures": figures})
    return {"items": items}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("item", choices=[*REPLACES, "table"])
    parser.add_argument("place", type=Path)
    parser.add_argument("--toy", action="store_true")
    options = parser.parse_args()
    if options.item == "table":
        results = options.place / "results.json"
        results.write_text(json.dumps(gathered(options.place), indent=2) + "\n", encoding="utf-8")
        text = table(options.place)
        (options.place / "results.md").write_text(text, encoding="utf-8")
        print(text, end="")
        return
    measure: Callable[[bool], Json] = {"train": train, "update": update, "engine": engine}[options.item]
    options.place.write_text(json.dumps(measure(options.toy), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
