"""The reward of test_training_chain: random weights can't solve problems, so what pays is short words of one kind.

It notes every prompt as it comes, which shows the order that OpenRLHF really takes. `CHAIN_HOLD=rollout:N` holds the
rollouts when N samples have come: theirs is answered when the launch is dead, or the file CHAIN_HELD is removed.
"""

import os
import time
from pathlib import Path


def hold(held: Path) -> None:
    """Once in a launch, until the file is gone."""
    was = held.with_suffix(".was")
    if not was.exists():
        was.touch()
        held.touch()
        while held.exists():
            time.sleep(0.1)


def reward_func(queries, prompts, labels, **_):
    import torch

    seen = Path(os.environ["CHAIN_SEEN"])
    with seen.open("a") as handle:
        handle.writelines(prompt.replace("\n", " ") + "\n" for prompt in prompts)
    phase, _, number = os.environ.get("CHAIN_HOLD", "").partition(":")
    if phase == "rollout" and len(seen.read_text().splitlines()) >= int(number):
        hold(Path(os.environ["CHAIN_HELD"]))
    rewards = [float(len(set(query[len(prompt) :])) % 3) / 2 for query, prompt in zip(queries, prompts, strict=True)]
    tensor = torch.tensor(rewards)
    return {"rewards": tensor, "scores": tensor.clone(), "extra_logs": {"letters": tensor.clone()}}
