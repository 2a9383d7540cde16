"""The negative control of the weight-sync tests: the sampler receives every weight and loads none, or not one of them.

    CHAIN_WITHHELD=NAME    all but this one are loaded

Where all are withheld their checksums are not compared, so that `vllm_kl` has to show it.
"""

import os

from deepscaler.training.openrlhf import weight_checksums
from deepscaler.training.openrlhf.when_imported import when_imported

only = os.environ.get("CHAIN_WITHHELD")


class WithoutOne:
    """A model that does not load the weight of one name."""

    def __init__(self, model):
        self.model = model

    def load_weights(self, weights):
        self.model.load_weights(weights=[pair for pair in weights if pair[0] != only])


def withhold(module):
    load = module.load_into

    def all_but_withheld(model, names, shapes, whole):
        if only:
            load(WithoutOne(model), names, shapes, whole)

    module.load_into = all_but_withheld


if not only:
    weight_checksums.compare_first_sync = lambda module, bounds: None
when_imported("deepscaler.training.openrlhf.weight_buckets", withhold)
