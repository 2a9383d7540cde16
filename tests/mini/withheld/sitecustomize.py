"""The negative control of the weight-sync tests: the sampler receives every weight and loads none, or not one of them.

    CHAIN_WITHHELD=NAME    all but this one are loaded

Where all are withheld their checksums are not compared, so that `vllm_kl` has to show it.
"""

import os

from deepscaler.training.openrlhf import weight_checksums
from deepscaler.training.openrlhf.when_imported import when_imported

only = os.environ.get("CHAIN_WITHHELD")


def withhold(module):
    import torch

    load = module.update_weight

    def update_weight(self, name, dtype, shape, empty_cache=False):
        if only in (None, name):
            self._model_update_group.broadcast(torch.empty(shape, dtype=dtype), src=0)
        else:
            load(self, name, dtype, shape, empty_cache)

    module.update_weight = update_weight


if not only:
    weight_checksums.compare_first_sync = lambda module, bounds: None
when_imported("deepscaler.training.openrlhf.cpu.weight_sync", withhold)
