"""The policy in one process: weights that compute, fp32 weights that AdamW updates, and log-probabilities of tokens."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deepscaler.models import bfloat16
from deepscaler.settings.recipe import Recipe, Stage

Tensor = Any
ZERO_2, ZERO_3 = 2, 3
"""The stages whose arithmetic differs: at 2 DeepSpeed sums an update's gradients as they come, in bf16, whatever the
recipe's precision; at 3 it has a linear layer of its own."""
MIN_RATE = 0.1
"""Share of the learning rate at which a cosine schedule ends; upstream's default."""


@dataclass(frozen=True)
class Sequence:
    """A prompt and its response."""

    tokens: list[int]
    start: int
    """Of the response."""

    @property
    def response(self) -> int:
        return len(self.tokens) - self.start


def load(folder: Path, zero_stage: int) -> Any:
    """The model of a folder in bf16, packed sequences allowed, on a GPU where there is one; its layers as they compute
    at a ZeRO stage."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    bfloat16.apply()
    on_gpu = torch.cuda.is_available()
    attention = "flash_attention_2" if on_gpu else "sdpa"
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation=attention, local_files_only=True
    )
    model.config.use_cache = False
    if zero_stage == ZERO_3:
        add_biases_apart(model)
    return model.to("cuda" if on_gpu else "cpu").eval()


def add_biases_apart(model: Any) -> None:
    """DeepSpeed's own linear layer of ZeRO 3 rounds the product to bf16 before it adds the bias, and once more then."""
    import torch

    def apart(layer: Any, inputs: Tensor) -> Tensor:
        return torch.nn.functional.linear(inputs, layer.weight) + layer.bias

    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear) and layer.bias is not None:
            layer.forward = partial(apart, layer)  # type: ignore[method-assign]


def log_probs(model: Any, batch: list[Sequence], temperature: float) -> list[tuple[Tensor, Tensor]]:
    """Of each sequence's response: log-probability of its tokens, and the logits that they come from, in fp32.

    The sequences are packed one after the other, and see only themselves by their positions.
    """
    import torch

    device = model.device
    tokens = torch.tensor([token for sequence in batch for token in sequence.tokens], device=device)
    positions = torch.cat([torch.arange(len(sequence.tokens)) for sequence in batch]).to(device)
    output = model(input_ids=tokens[None], attention_mask=None, position_ids=positions[None])
    logits, found, offset = output.logits[0].float() / temperature, [], 0
    for sequence in batch:
        first, end = offset + sequence.start, offset + len(sequence.tokens)
        rows = logits[first - 1 : end - 1]
        chosen = rows.gather(-1, tokens[first:end, None])[:, 0]
        found.append((chosen - torch.logsumexp(rows, -1), rows))
        offset = end
    return found


class Learner:
    """A model under training, with its optimizer as a stage starts it."""

    def __init__(self, folder: Path, recipe: Recipe, stage: Stage, zero_stage: int) -> None:
        import torch
        from transformers import get_scheduler

        self.model, self.recipe = load(folder, zero_stage), recipe
        self.wide_sums = recipe.precision.gradients == "fp32" and zero_stage != ZERO_2
        self.weights = list(self.model.parameters())
        self.sums: list[Any] = [None] * len(self.weights)
        self.wide = [weight.detach().float() for weight in self.weights]
        own = recipe.optimizer
        groups = [
            {"params": [wide for wide in self.wide if wide.dim() > 1], "weight_decay": own.weight_decay},
            {"params": [wide for wide in self.wide if wide.dim() < 2], "weight_decay": 0.0},  # biases and norms
        ]
        rate = stage.learning_rate or own.learning_rate
        self.optimizer = torch.optim.AdamW(groups, lr=rate, betas=own.betas, eps=own.epsilon)
        updates = stage.steps * recipe.updates_per_step
        self.schedule = get_scheduler(
            own.schedule,
            self.optimizer,
            math.ceil(updates * own.warmup_ratio),
            updates,
            {"min_lr_rate": MIN_RATE} if own.schedule == "cosine_with_min_lr" else {},
        )

    def accumulate(self, loss: Tensor) -> None:
        """Add a micro-batch's gradients to those of its update."""
        loss.backward()
        for place, weight in enumerate(self.weights):
            if weight.grad is not None:
                grad = weight.grad.float() if self.wide_sums else weight.grad
                self.sums[place] = grad if self.sums[place] is None else self.sums[place] + grad
                weight.grad = None

    def update(self) -> float:
        """One step of AdamW with what was accumulated; the gradient's norm before it is clipped."""
        import torch

        pairs = zip(self.sums, self.wide, strict=True)
        grads = [torch.zeros_like(wide) if own is None else own.float() for own, wide in pairs]
        norm = norm_of([[grad for grad in grads if grad.dim() > 1], [grad for grad in grads if grad.dim() < 2]])
        shrink = 1.0 / ((norm + 1e-6) / self.recipe.optimizer.max_grad_norm).clamp(min=1.0)
        for wide, grad in zip(self.wide, grads, strict=True):
            wide.grad = grad * shrink
        self.optimizer.step()
        self.schedule.step()
        with torch.no_grad():
            for weight, wide in zip(self.weights, self.wide, strict=True):
                weight.copy_(wide)
        self.sums = [None] * len(self.weights)
        return float(norm)

    @property
    def rate(self) -> float:
        return float(self.schedule.get_last_lr()[0])


def norm_of(groups: list[list[Tensor]]) -> Tensor:
    """Of all gradients as one vector, the optimizer's groups apart: its last bit moves a gradient that is clipped."""
    import torch

    squares = [[torch.linalg.vector_norm(grad.double()).square() for grad in group] for group in groups]
    return torch.linalg.vector_norm(torch.stack([torch.stack(group).sum().float().sqrt() for group in squares]))
