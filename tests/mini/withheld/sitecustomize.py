"""The negative control of the weight-sync test: the sampler receives every weight and loads none."""

from deepscaler.training.openrlhf.when_imported import when_imported


def withhold(module):
    import torch

    def update_weight(self, name, dtype, shape, empty_cache=False):
        self._model_update_group.broadcast(torch.empty(shape, dtype=dtype), src=0)

    module.update_weight = update_weight


when_imported("deepscaler.training.openrlhf.cpu.weight_sync", withhold)
