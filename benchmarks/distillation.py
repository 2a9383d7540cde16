"""How fast the base model learns clean traces at several batch sizes, at equal tokens: docs/performance/distillation.md

.venv/bin/python benchmarks/distillation.py --tokens 1000000 --batches 4096 2048 1024 [--threads 1]
"""

import argparse
import time

import torch
from deepscaler.miniature.traces import draw_traces
from deepscaler.models.distill_base import build_tokenizer, compose_terms, distilled_entry, examples, make_model
from deepscaler.models.supervised import Example, fine_tune


def exact(model: torch.nn.Module, held_out: list[Example]) -> float:
    """The share of traces of which every token after the first is the model's most likely one."""
    right = 0
    with torch.no_grad():
        for prompt, response in held_out:
            logits = model(input_ids=torch.tensor([prompt + response])).logits[0]
            likeliest = logits[len(prompt) - 1 : -1].argmax(-1).tolist()
            right += likeliest[1:] == response[1:]
    return right / len(held_out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--batches", type=int, nargs="+", default=[4096, 2048, 1024])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    entry = distilled_entry("mini-base")
    prompting = entry.prompting
    print("| tokens a batch | steps | CPU seconds | loss at the end | traces exactly right |\n|---|---|---|---|---|")
    for size in options.batches:
        steps = options.tokens // size
        plan = entry.distillation.model_copy(update={"batch_tokens": size, "clean_steps": steps - 1, "mixed_steps": 1})
        torch.manual_seed(options.seed)
        tokenizer = build_tokenizer(prompting.separator + prompting.suffix)
        model = make_model(plan.architecture, tokenizer)
        compose_terms(model, tokenizer)
        clean, held_out = (
            examples(tokenizer, prompting, plan, traces)
            for traces in (
                draw_traces("clean", plan.clean_traces, plan.clean),
                draw_traces("held out", 200, plan.clean),
            )
        )
        before = time.process_time()
        loss = fine_tune(model, clean, clean, plan, "batches")
        seconds = time.process_time() - before
        print(f"| {size:,} | {steps} | {seconds:.0f} | {loss:.3f} | {exact(model.eval(), held_out):.0%} |", flush=True)


if __name__ == "__main__":
    main()
