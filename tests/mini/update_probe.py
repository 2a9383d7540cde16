"""Run in a process of its own, with the overlay on PYTHONPATH: one optimizer update by OpenRLHF's own trainer class.

    python update_probe.py MODEL ZERO_STAGE MAX_TOKENS SEQUENCES OUT.json

Feeds fixed experiences to upstream's ActorPPOTrainer, packed into micro-batches of at most MAX_TOKENS, and writes the
gradient norm and the change of the weights.
"""

import json
import os
import socket
import sys
from pathlib import Path


def main() -> None:
    model, zero_stage, max_tokens, sequences, out = sys.argv[1:]
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    os.environ |= {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }

    import torch
    from deepscaler.settings import dag
    from deepscaler.training.command import Places, segment_flags
    from deepscaler.training.validate import resolve
    from openrlhf.models import Actor
    from openrlhf.trainer.ray.ppo_actor import ActorPPOTrainer
    from openrlhf.utils import get_strategy

    here = Path(model)
    flags = segment_flags("mini", dag.segment("mini", "8k-1"), Places(here, here, here, here, here / "r.py", here))
    changes = ["--ds.zero_stage", zero_stage, "--train.max_tokens_per_gpu", max_tokens]
    changes += ["--train.batch_size", sequences, "--rollout.batch_size", str(int(sequences) // 8)]
    args = resolve([*flags, *changes])
    strategy = get_strategy(args)
    strategy.setup_distributed()
    torch.manual_seed(0)
    actor = Actor(
        model,
        attn_implementation=args.ds.attn_implementation,
        param_dtype="bf16",
        ds_config=strategy.get_ds_train_config(),
        packing_samples=True,
        temperature=args.rollout.temperature,
    )
    settings = {
        "optim": "adam",
        "adam": vars(args.actor.adam),
        "lr_scheduler": "constant",
        "max_norm": args.actor.max_norm,
    }
    actor, optimizer, scheduler = strategy.prepare((actor, {**settings, "lr_warmup_ratio": 0.0, "scheduler_steps": 10}))
    trainer = ActorPPOTrainer(
        strategy, actor, None, optimizer, scheduler, micro_train_batch_size=1, dataloader_pin_memory=False
    )
    before = weights(actor, zero_stage)
    for experience in experiences(int(sequences), actor):
        trainer.replay_buffer.append(experience)
    status = trainer.ppo_train(0.001)
    after = weights(actor, zero_stage)
    change = torch.cat([(after[name] - before[name]).flatten() for name in sorted(before)])
    result = {
        "micro_batches": len(trainer.replay_buffer),
        "grad_norm": status["actor_grad_norm"],
        "policy_loss": status["policy_loss"],
        "change": change[::97].tolist(),
    }
    Path(out).write_text(json.dumps(result))


def weights(actor, zero_stage):
    """fp32 master weights, where the bf16 ones would round the change away."""
    from deepspeed.utils import safe_get_full_fp32_param

    return {name: safe_get_full_fp32_param(p).clone() for name, p in actor.model.module.named_parameters()}


def experiences(count, actor):
    """Sequences of different lengths, with old log-probabilities near the policy's and mixed advantages."""
    import torch
    from openrlhf.trainer.ppo_utils.experience import Experience

    generator = torch.Generator().manual_seed(1)
    for number in range(count):
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
            rollout_log_probs=logprobs,
            advantages=advantage,
            returns=advantage.clone(),
            response_length=action.sum(dim=-1),
            truncated=torch.tensor([False]),
            total_length=torch.tensor([float(length)]),
            info={"reward": torch.tensor([0.0])},
        )


if __name__ == "__main__":
    main()
