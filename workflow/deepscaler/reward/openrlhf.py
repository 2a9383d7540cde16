"""The reward function of training: the file that OpenRLHF's `--reward.remote_url` gets.

OpenRLHF loads this file by its path in every rollout actor and calls `reward_func` in a thread, one sample a call
(`openrlhf/utils/agent.py`). An exception there would leave the sample without a reward and end the run later, so
none leaves this function.

Settings come from the environment: `DEEPSCALER_REWARD_MODE` (paper or strict; default paper),
`DEEPSCALER_THINK_RULE` (required, prefilled or none; default prefilled), `DEEPSCALER_REWARD_WORKERS` (grading
processes an actor; default 2), `DEEPSCALER_REWARD_SECONDS` (limit of one verdict; default 1) and
`DEEPSCALER_REWARD_MEMORY_MB` (address space of a grading process; default 512). Training gives all but the workers.
"""

import atexit
import json
import os
import re
import sys
import threading
from typing import Any

from deepscaler.reward.grade import golds_of
from deepscaler.reward.pool import GradingPool
from deepscaler.reward.verdicts import MODES, THINK_RULES, ResponseVerdict

SPECIAL = re.compile(r"<｜[^｜<>]{1,40}｜>|<\|[^|<>]{1,40}\|>|</s>|<pad>|<eos>|<unk>")
LONGEST_SPECIAL = 44
"""Characters."""
TAIL = 4096
"""Characters at a response's end that are looked at for special tokens."""
EVIDENCE = 96
"""Characters of the prompt's end that identify where the response starts, should the whole prompt not match."""

_pool: GradingPool | None = None
_lock = threading.Lock()


def reward_func(queries: list[str], prompts: list[str], labels: list[str], **_: Any) -> dict[str, Any]:
    """Rewards 1 or 0 of the responses in `queries`.

    Args:
        queries: prompt and response together, decoded with special tokens.
        prompts: the prompts.
        labels: accepted answers, a JSON list of strings or one plain string each.

    Returns:
        `rewards` and `scores`, float tensors of shape (len(queries),), and `extra_logs`: tensors of the same shape
        with `well_formed`, `truncated` (no end-of-text token), `grading_killed` and `grading_cached`, 0 or 1 each.
        `reasons`, a text each, is not upstream's: it is kept with the rollouts.
    """
    import torch

    rows = [grade_sample(*sample) for sample in zip(queries, prompts, labels, strict=False)]
    *numbers, reasons = zip(*rows, strict=True) if rows else ((),) * 6
    columns = [torch.tensor(column, dtype=torch.float32) for column in numbers]
    names = ("well_formed", "truncated", "grading_killed", "grading_cached")
    return {
        "rewards": columns[0],
        "scores": columns[0].clone(),
        "extra_logs": dict(zip(names, columns[1:], strict=True)),
        "reasons": list(reasons),
    }


def grade_sample(query: str, prompt: str, label: str) -> tuple[float, float, float, float, float, str]:
    """reward, well formed, truncated, killed, cached, reason."""
    response, truncated = response_of(str(query), str(prompt))
    try:
        mode, think = (
            from_environment("DEEPSCALER_REWARD_MODE", MODES, "paper"),
            from_environment("DEEPSCALER_THINK_RULE", THINK_RULES, "prefilled"),
        )
        [answer] = shared_pool().find_answers([(response, mode, think)])
        if isinstance(answer, ResponseVerdict):
            return 0.0, 0.0, float(truncated), float(answer.reason.startswith("killed")), 0.0, answer.reason
        [(verdict, cached)] = shared_pool().grade_batch([(golds_of(accepted(label)), answer, mode)])
        killed = verdict.reason.startswith("killed")
        return float(verdict.correct), 1.0, float(truncated), float(killed), float(cached), verdict.reason
    except Exception as error:
        print(f"deepscaler reward: {type(error).__name__}: {error}; the sample scores 0", file=sys.stderr, flush=True)
        return 0.0, 0.0, float(truncated), 1.0, 0.0, f"error: {type(error).__name__}"


def response_of(query: str, prompt: str) -> tuple[str, bool]:
    """The response without prompt and special tokens, and whether it lacks the token that ends a text."""
    if query.startswith(prompt):
        response = query[len(prompt) :]
    else:
        # the tokenizer may not give a prompt back as it was, and a long prompt loses its head
        evidence = prompt[-EVIDENCE:]
        _, found, rest = query.partition(evidence) if evidence else ("", "", "")
        response = rest if found else query
    kept = without_special_tail(response[-TAIL:])
    if kept is None:
        return response, True
    return response[: len(response) - len(response[-TAIL:]) + len(kept)], False


def without_special_tail(text: str) -> str | None:
    """The text before the special tokens that end it, and blanks between them; None where there is none."""
    kept, found = text.rstrip(), False
    while kept.endswith(">"):
        start = max(kept.rfind("<", -LONGEST_SPECIAL), 0)
        if not SPECIAL.fullmatch(kept, start):
            break
        kept, found = kept[:start].rstrip(), True
    return kept if found else None


def accepted(label: str) -> list[str]:
    """The golds of a label: a JSON list of them, or the label itself."""
    text = str(label)
    if text.lstrip().startswith("["):
        try:
            golds = json.loads(text)
        except (ValueError, RecursionError):
            return [text]
        if isinstance(golds, list) and all(isinstance(gold, str) for gold in golds):
            return golds
    return [text]


def from_environment(variable: str, known: tuple[Any, ...], default: Any) -> Any:
    value = os.environ.get(variable, default)
    if value not in known:
        raise ValueError(f"{variable}={value!r} is none of {', '.join(known)}")
    return value


def shared_pool() -> GradingPool:
    """This process's pool, started at the first sample."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = GradingPool(
                workers=int(os.environ.get("DEEPSCALER_REWARD_WORKERS", "2")),
                seconds=float(os.environ.get("DEEPSCALER_REWARD_SECONDS", "1")),
                memory_mb=int(os.environ.get("DEEPSCALER_REWARD_MEMORY_MB", "512")),
            )
            atexit.register(_pool.close)
        return _pool
