"""Holds a launch in one moment, for a kill to hit it there and nowhere else.

    CHAIN_HOLD=update:N    after the N-th update of this attempt: a step has two, so an odd N is in a step's middle
    CHAIN_HOLD=save:N      while the state of step N is written: one of its files is whole, the next one half

The moment has come when the file CHAIN_HELD is there, and is over when it is removed. (In a rollout it is the reward
function that holds.)
"""

import os
import time
from pathlib import Path

from deepscaler.training.openrlhf.when_imported import when_imported

phase, _, number = os.environ.get("CHAIN_HOLD", "").partition(":")


def hold():
    held = Path(os.environ["CHAIN_HELD"])
    held.touch()
    while held.exists():
        time.sleep(0.1)


def hold_update(module):
    optimizer_step = module.DeepspeedStrategy.optimizer_step
    count = 0

    def counted(self, *arguments, **named):
        nonlocal count
        optimizer_step(self, *arguments, **named)
        count += 1
        if count == int(number):
            hold()

    module.DeepspeedStrategy.optimizer_step = counted


def hold_save(module):
    save = module.TorchCheckpointEngine.save

    def half(self, state_dict, path):
        save(self, state_dict, path)
        if f"global_step{number}/" in str(path) and "optim_states" in str(path):
            os.truncate(path, Path(path).stat().st_size // 2)
            hold()

    module.TorchCheckpointEngine.save = half


if phase == "update":
    when_imported("openrlhf.utils.deepspeed.deepspeed", hold_update)
if phase == "save":
    when_imported("deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine", hold_save)
