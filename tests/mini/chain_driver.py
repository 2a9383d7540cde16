"""Run by test_training_chain in processes of their own: train one segment as the CLI does, with the test's reward.

    python chain_driver.py REWARD.py SCALE SEGMENT PARENT PROMPTS RUNS OUTPUT [moment]

At a `moment` this process kills itself: `ended` when OpenRLHF has ended and nothing is taken over yet, `export` while
the checkpoint is gathered, `rename` when it is whole and not yet in place.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from deepscaler.cli import main
from deepscaler.training import train_segment
from deepscaler.training.run import checkpoint


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after_the_run(*arguments: Any) -> None:
    train_and_end(*arguments)
    die()


train_and_end = train_segment.run


def run() -> None:
    reward, scale, segment, parent, prompts, runs, output, *moment = sys.argv[1:]
    train_segment.REWARD_FILE = Path(reward)
    if moment == ["ended"]:
        train_segment.run = die_after_the_run
    if moment == ["export"]:
        checkpoint.write_manifest = die
    if moment == ["rename"]:
        checkpoint.replace = die
    sys.argv = ["deepscaler", "train_segment", "--scale", scale, "--segment", segment, "--parent", parent]
    sys.argv += ["--prompts", prompts, "--runs", runs, "--output", output]
    main()


if __name__ == "__main__":
    run()
