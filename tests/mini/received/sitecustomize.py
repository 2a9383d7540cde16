"""What the sampler's model holds once all weights have come, in the file CHAIN_RECEIVED: the last sending's stay."""

import os
from pathlib import Path

from deepscaler.training.openrlhf.when_imported import when_imported


def note(module):
    import torch

    update_weight = module.WorkerWrap.update_weight

    def noted(self, name, dtype, shape, empty_cache=False):
        answer = update_weight(self, name, dtype, shape, empty_cache)
        if empty_cache:  # of the last bucket
            aside = Path(os.environ["CHAIN_RECEIVED"] + ".part")
            torch.save(dict(self.model_runner.model.named_parameters()), aside)
            aside.rename(os.environ["CHAIN_RECEIVED"])
        return answer

    module.WorkerWrap.update_weight = noted


when_imported("deepscaler.training.openrlhf.engine_process", note)
