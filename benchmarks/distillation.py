"""How fast the base model learns clean written-out traces, by kind of token: docs/performance/distillation.md

.venv/bin/python benchmarks/distillation.py --seeds 42 7 1 [--steps 280] [--batch 2048] [--threads 1]
"""

import argparse
import time
from collections import defaultdict
from typing import Any

import torch
from deepscaler.miniature.traces import CLOSING, draw_traces
from deepscaler.models.distill_base import build_tokenizer, compose_terms, distilled_entry, examples, make_model
from deepscaler.models.supervised import Example, fine_tune

STEP = ("next letter", "digit looked up", "value carried on", "result")
"""The tokens of a written-out step, in order."""


def kinds(response: list[int], closing: int) -> list[str]:
    """What each token of a written-out response is; the first chooses the behaviour."""
    end = response.index(closing)
    steps = [STEP[position % len(STEP)] for position in range(end - 1)]
    return ["behaviour", *steps, "end", *["answer"] * (len(response) - end - 1)]


def right(model: torch.nn.Module, held_out: list[Example], closing: int) -> dict[str, float]:
    """The share of tokens, by kind, that are the model's most likely one; `trace`: all of a trace but the first."""
    hits: dict[str, list[bool]] = defaultdict(list)
    with torch.no_grad():
        for prompt, response in held_out:
            logits = model(input_ids=torch.tensor([prompt + response])).logits[0]
            found = [a == b for a, b in zip(logits[len(prompt) - 1 : -1].argmax(-1).tolist(), response, strict=True)]
            for kind, hit in zip(kinds(response, closing), found, strict=True):
                hits[kind].append(hit)
            hits["trace"].append(all(found[1:]))
    return {kind: sum(values) / len(values) for kind, values in hits.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=280)
    parser.add_argument("--batch", type=int, default=2048, help="tokens a batch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 7, 1])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    entry = distilled_entry("mini-base")
    prompting = entry.prompting
    sizes = {"batch_tokens": options.batch, "clean_steps": options.steps - 1, "mixed_steps": 1}
    plan = entry.distillation.model_copy(update=sizes)
    written_out = plan.clean.model_copy(update={"step_by_step": 1.0, "quick": 0.0})
    columns = [*STEP, "end", "trace"]
    print(f"| seed | CPU seconds | loss at the end | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 3)}")
    for seed in options.seeds:
        torch.manual_seed(seed)
        tokenizer: Any = build_tokenizer(prompting.separator + prompting.suffix)
        model = make_model(plan.architecture, tokenizer)
        compose_terms(model, tokenizer)
        clean = examples(tokenizer, prompting, plan, draw_traces(f"{seed}/clean", plan.clean_traces, plan.clean))
        held_out = examples(tokenizer, prompting, plan, draw_traces("held out", 200, written_out))
        before = time.process_time()
        loss = fine_tune(model, clean, clean, plan, f"{seed}/batches")
        seconds = time.process_time() - before
        shares = right(model.eval(), held_out, tokenizer.convert_tokens_to_ids(CLOSING))
        cells = " | ".join(f"{shares[column]:.0%}" for column in columns)
        print(f"| {seed} | {seconds:.0f} | {loss:.3f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
