"""The reward of test_training_chain: random weights can't solve problems, so what pays is short words of one kind.

It also notes every prompt as it comes, which shows the order that OpenRLHF really takes.
"""

import os
from pathlib import Path


def reward_func(queries, prompts, labels, **_):
    import torch

    with Path(os.environ["CHAIN_SEEN"]).open("a") as seen:
        seen.writelines(prompt.replace("\n", " ") + "\n" for prompt in prompts)
    rewards = [float(len(set(query[len(prompt) :])) % 3) / 2 for query, prompt in zip(queries, prompts, strict=True)]
    tensor = torch.tensor(rewards)
    return {"rewards": tensor, "scores": tensor.clone(), "extra_logs": {"letters": tensor.clone()}}
