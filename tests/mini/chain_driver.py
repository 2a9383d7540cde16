"""Run by test_training_chain in processes of their own: train one segment as the CLI does, with the test's reward.

    python chain_driver.py REWARD.py SEGMENT PARENT PROMPTS RUNS OUTPUT [harm]

`harm` is what this process does to itself: `die-in-publish`.
"""

import os
import signal
import sys
from pathlib import Path

from deepscaler.cli import main
from deepscaler.training import checkpoint, train_segment


def run() -> None:
    reward, segment, parent, prompts, runs, output, *harm = sys.argv[1:]
    train_segment.REWARD_FILE = Path(reward)
    if harm == ["die-in-publish"]:
        checkpoint.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    sys.argv = ["deepscaler", "train_segment", "--scale", "tiny", "--segment", segment, "--parent", parent]
    sys.argv += ["--prompts", prompts, "--runs", runs, "--output", output]
    main()


if __name__ == "__main__":
    run()
