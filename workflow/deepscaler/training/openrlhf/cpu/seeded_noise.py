"""vLLM draws no noise for a whole batch that is then drawn again row by row.

Its sampler for CPUs fills noise for all rows from the process's generator, and then each row again whose request has a
generator of its own. A rollout's request always has one. vLLM's sampler for other devices skips the first where all
rows have one; the tokens are the same, since a row's noise comes from its own generator alone.
"""

from typing import Any

from deepscaler.training.openrlhf.when_imported import when_imported


def apply() -> None:
    when_imported("vllm.v1.sample.ops.topk_topp_sampler", draw_once)


def draw_once(module: Any) -> None:
    sampler = module.TopKTopPSampler
    for_cpus = sampler.forward_cpu

    def forward_cpu(self: Any, logits: Any, generators: dict[int, Any], k: Any, p: Any) -> Any:
        if len(generators) == logits.shape[0]:
            return self.forward_native(logits, generators, k, p)
        return for_cpus(self, logits, generators, k, p)

    sampler.forward_cpu = forward_cpu
