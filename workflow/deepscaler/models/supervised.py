"""Supervised fine-tuning of a small model on the CPU: fp32, Muon on the hidden matrices, AdamW on the rest."""

import math
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deepscaler.models import bfloat16
from deepscaler.progress import progress
from deepscaler.settings.distillation import Distillation

if TYPE_CHECKING:
    import torch

Example = tuple[list[int], list[int]]
"""Token ids of a prompt and of its response; only the response is learnt."""

IGNORED = -100


def fine_tune(model: Any, clean: list[Example], mixed: list[Example], settings: Distillation, seed: str) -> float:
    """Train `model` in place, on `clean`, then on `mixed`; gives the running mean of the loss."""
    import torch

    optimizers = make_optimizers(model, settings)
    steps = settings.clean_steps + settings.mixed_steps
    sources = {
        name: batches(examples, settings.batch_tokens, settings.shuffle_window, random.Random(f"{seed}/{name}"))
        for name, examples in (("clean", clean), ("mixed", mixed))
    }
    model.train()
    loss_mean = math.nan
    with progress(total=steps, what="distilling", unit="step") as bar:
        for step in range(steps):
            scale = rate(step, steps, settings.warmup_steps, settings.final_rate)
            loss = response_loss(model, next(sources["clean" if step < settings.clean_steps else "mixed"]))
            model.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            for optimizer, peak in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = peak * scale
                with bfloat16.wide_products():
                    optimizer.step()
            loss_mean = loss.item() if step == 0 else 0.95 * loss_mean + 0.05 * loss.item()
            bar.set_postfix(loss=f"{loss_mean:.3f}", refresh=False)
            bar.update()
    return loss_mean


def rate(step: int, steps: int, warmup: int, final: float) -> float:
    """The learning rate's share of its peak: linear warm-up, cosine down to the share `final`."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / warmup) * (final + (1 - final) * cosine)


def make_optimizers(model: Any, settings: Distillation) -> list[tuple["torch.optim.Optimizer", float]]:
    """Muon for the matrices of the layers, AdamW for everything else, each with its peak learning rate."""
    import torch

    hidden = [weight for weight in model.model.layers.parameters() if weight.ndim == 2]
    matrices = {id(weight) for weight in hidden}
    others = [weight for weight in model.parameters() if id(weight) not in matrices]
    decay = settings.weight_decay
    return [
        (
            torch.optim.AdamW(others, lr=settings.learning_rate, betas=settings.adam_betas, weight_decay=decay),
            settings.learning_rate,
        ),
        (
            torch.optim.Muon(
                hidden, lr=settings.muon_learning_rate, momentum=settings.muon_momentum, weight_decay=decay
            ),
            settings.muon_learning_rate,
        ),
    ]


def batches(examples: list[Example], tokens: int, window: int, state: random.Random) -> Iterator[list[Example]]:
    """Batches of at most `tokens` tokens, padding included, without end; shuffled anew each time round.

    `window` examples are sorted by length together.
    """

    def length(example: Example) -> int:
        return len(example[0]) + len(example[1])

    while True:
        order = state.sample(examples, len(examples))
        for start in range(0, len(order), window):
            groups: list[list[Example]] = [[]]
            for example in sorted(order[start : start + window], key=length):
                if groups[-1] and (len(groups[-1]) + 1) * length(example) > tokens:
                    groups.append([])
                groups[-1].append(example)
            state.shuffle(groups)
            yield from groups


def response_loss(model: Any, batch: list[Example]) -> "torch.Tensor":
    """Mean cross-entropy of the responses' tokens. Right padding needs no mask: no real token can see it."""
    import torch

    longest = max(len(prompt) + len(response) for prompt, response in batch)
    inputs = torch.zeros(len(batch), longest, dtype=torch.long)
    targets = torch.full((len(batch), longest), IGNORED)
    for row, (prompt, response) in enumerate(batch):
        end = len(prompt) + len(response)
        inputs[row, :end] = torch.tensor(prompt + response)
        targets[row, len(prompt) : end] = torch.tensor(response)
    hidden = model.model(input_ids=inputs).last_hidden_state[:, :-1]
    learnt = targets[:, 1:] != IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[learnt]).float(), targets[:, 1:][learnt])
