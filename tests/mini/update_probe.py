"""Run in a process of its own, with the overlay on PYTHONPATH: optimizer updates by OpenRLHF's own trainer class.

    python update_probe.py MODEL OUT.json

The same experiences make one update each time: in one micro-batch or in several, packed or padded, at ZeRO 2 and 3, and
with upstream as it is ("plain") or with the hooks that a segment's workers have ("hooked"), also with the optimizer in
the node's memory ("offloaded"). Where sampler and trainer
disagree: with no correction at all ("off"), with the flags of a recipe that corrects nothing ("watched"), the same with
log-probabilities of every third sample alone ("shared"), and with a real one ("corrected"). Written are the gradient
norm, what is logged, the divergence of those samples, and the change of the fp32 weights with a digest of them all.
"""

import hashlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

SEQUENCES = 16
CASES = [
    (zero, tokens, how, packed)
    for zero in (2, 3)
    for tokens, how, packed in (
        (100_000, "plain", True),
        (250, "plain", True),
        (100_000, "hooked", True),
        (250, "hooked", True),
    )
] + [(2, 100_000, "plain", False)]
CORRECTIONS = {
    "off": ["--algo.advantage.is_correction_level", "off"],
    "corrected": ["--algo.advantage.is_correction_mode", "clip", "--algo.advantage.is_correction_threshold", "0", "2"],
}
DISAGREEING = ("off", "watched", "shared", "corrected")
EVERY = 3
CASES += [(2, 100_000, how, True) for how in DISAGREEING]
CASES += [(zero, 250, how, True) for zero in (2, 3) for how in ("off", "watched", "shared")]
CASES += [(zero, tokens, "offloaded", True) for zero in (2, 3) for tokens in (100_000, 250)]


LOGGED = ("actor_grad_norm", "policy_loss", "kl", "entropy_loss", "ppo_kl", "vllm_kl")


def main() -> None:
    model, out = sys.argv[1:]
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    results = [update(model, *case) for case in CASES]
    Path(out).write_text(json.dumps(results))


def update(model: str, zero: int, tokens: int, how: str, packed: bool) -> dict[str, Any]:
    import torch
    from deepscaler.training.openrlhf import hooks, measured_share
    from deepscaler.training.openrlhf.bounds import Bounds
    from openrlhf.models import Actor
    from openrlhf.trainer.ray import ppo_actor
    from openrlhf.utils import get_strategy
    from openrlhf.utils.deepspeed import deepspeed

    own = ppo_actor.ActorPPOTrainer
    upstream = deepspeed.get_train_ds_config, own.ppo_train, own.training_step
    if how != "plain":
        hooks.accumulate_until_step(deepspeed)
        hooks.log_means_of_updates(ppo_actor)
    if how == "shared":
        bounds = Bounds("8k", "8k-1", 0, 1, 0, 1, False, "", None, log_probs_every=EVERY)
        measured_share.train_on_share(ppo_actor, bounds)
    args = arguments(model, zero, tokens, how)
    strategy = get_strategy(args)
    strategy.setup_distributed()
    torch.manual_seed(0)
    actor = Actor(
        model,
        attn_implementation=args.ds.attn_implementation,
        param_dtype="bf16",
        ds_config=strategy.get_ds_train_config(),
        packing_samples=packed,
        temperature=args.rollout.temperature,
    )
    optimizer = {"optim": "adam", "adam": vars(args.actor.adam), "max_norm": args.actor.max_norm}
    schedule = {"lr_scheduler": "constant", "lr_warmup_ratio": 0.0, "scheduler_steps": 10}
    actor, optim, scheduler = strategy.prepare((actor, optimizer | schedule))
    trainer = ppo_actor.ActorPPOTrainer(
        strategy, actor, None, optim, scheduler, micro_train_batch_size=1, dataloader_pin_memory=False
    )
    before = weights(actor)
    apart = []
    for place, experience in enumerate(experiences(actor, 0.2 if how in DISAGREEING else 0.0)):
        if measured_share.is_measured(place, EVERY):
            mask = experience.action_mask.bool()
            apart.append((experience.rollout_log_probs - experience.action_log_probs)[mask])
        elif how == "shared":
            experience.rollout_log_probs = None
            measured_share.fill([experience])
        trainer.replay_buffer.append(experience)
    status = trainer.ppo_train(0.001)
    after = weights(actor)
    change = torch.cat([(after[name] - before[name]).flatten() for name in sorted(before)])
    bits = torch.cat([after[name].flatten() for name in sorted(after)])
    deepspeed.get_train_ds_config, own.ppo_train, own.training_step = upstream
    result = {
        "zero": zero,
        "tokens": tokens,
        "how": how,
        "packed": packed,
        "micro_batches": len(trainer.replay_buffer),
        "status": {key: float(status[key]) for key in LOGGED if key in status},
        "measured": float(torch.cat(apart).mean()),
        "change": change[::97].tolist(),
        "digest": hashlib.sha256(bits.numpy().tobytes()).hexdigest(),
    }
    print({key: value for key, value in result.items() if key != "change"}, flush=True)
    return result


def arguments(model: str, zero: int, tokens: int, how: str) -> Any:
    from deepscaler import dag
    from deepscaler.settings import load_recipe
    from deepscaler.training.openrlhf.flags import SegmentPaths, objective_flags, segment_flags
    from deepscaler.training.openrlhf.parser import parse_as_openrlhf

    here = Path(model)
    flags = segment_flags(
        "mini", dag.segment("mini", "8k-1"), SegmentPaths(here, here, here, here, here / "r.py", here)
    )
    changes = ["--ds.zero_stage", zero, "--train.max_tokens_per_gpu", tokens]
    changes += ["--train.batch_size", SEQUENCES, "--rollout.batch_size", SEQUENCES // 8]
    if how in ("watched", "shared"):
        recipe = load_recipe("mini")
        advantage = recipe.advantage.model_copy(update={"importance_correction": "none"})
        watched = objective_flags(recipe.model_copy(update={"advantage": advantage}), recipe.stage("8k"))
        changes += [word for flag in watched for word in flag.words()]
    changes += CORRECTIONS.get(how, [])
    changes += ["--ds.adam_offload"] if how == "offloaded" else []
    return parse_as_openrlhf([*flags, *map(str, changes)])


def weights(actor: Any) -> dict[str, Any]:
    """The fp32 masters, since bf16 would round most of a change away."""
    from deepspeed.utils import safe_get_full_fp32_param

    return {name: safe_get_full_fp32_param(p).clone() for name, p in actor.model.module.named_parameters()}


def experiences(actor: Any, apart: float) -> Any:
    """Sequences of different lengths with mixed advantages; the old policy is the policy, the reference a bit off.

    The sampler's log-probabilities are off by up to `apart`.
    """
    import torch
    from openrlhf.trainer.ppo_utils.experience import Experience

    generator = torch.Generator().manual_seed(1)
    for number in range(SEQUENCES):
        length = 24 + 5 * (number % 7)
        tokens = torch.randint(8, 100, (1, length), generator=generator)
        attention = torch.ones_like(tokens)
        action = torch.zeros(1, length - 1, dtype=torch.long)
        action[:, 9:] = 1
        with torch.no_grad():
            logprobs = actor(tokens, action, attention)
        advantage = torch.full((1, length - 1), 1.0 if number % 3 else -1.5)
        yield Experience(
            sequences=tokens,
            attention_mask=attention,
            action_mask=action,
            action_log_probs=logprobs,
            base_action_log_probs=logprobs + 0.05,
            rollout_log_probs=logprobs + apart * torch.rand(logprobs.shape, generator=generator),
            advantages=advantage,
            returns=advantage.clone(),
            response_length=action.sum(dim=-1),
            truncated=torch.tensor([False]),
            total_length=torch.tensor([float(length)]),
            info={"reward": torch.tensor([0.0])},
        )


if __name__ == "__main__":
    main()
