"""A prompt's samples on several engines, patched into OpenRLHF's modules as `hooks` does.

Upstream sends all samples of a prompt to one engine. Half of the variance of a response's length lies between prompts
(docs/plan.md), so with few prompts an engine one draws the long ones, and all GPUs wait for its last. Here each sample
goes to the engine that has the fewest to do. Its seed follows from its number (`rollouts`), so where it is drawn
decides nothing on a CPU.

1. **Sending.** The samples of a prompt that go to one engine are one request. With one engine it is upstream's request.
2. **Waiting.** Upstream waits for one reference a prompt; `Together` is one for all of a prompt's requests, and the
   module's `ray` is one that can wait for it.
3. **The tokenizer.** Upstream pickles it into every request and makes it anew there: 0.6 processor-seconds for Qwen's
   151,665 tokens. Here it is put into Ray's store once, and each engine takes it out once.
"""

from typing import Any


class Together:
    """The requests of one prompt, in the order of their samples, as one reference."""

    def __init__(self, parts: list[Any]) -> None:
        self.parts, self.come = parts, 0

    @property
    def next(self) -> Any:
        """The first part that is not known to have come."""
        return self.parts[self.come]


class RayOfParts:
    """`ray` as the module that sends prompts uses it; `wait` and `get` know `Together` too."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ray, name)

    def get(self, reference: Any) -> Any:
        if not isinstance(reference, Together):
            return self._ray.get(reference)
        return [response for part in self._ray.get(reference.parts) for response in part]

    def wait(self, pending: list[Any], *, num_returns: int, timeout: float | None) -> tuple[list[Any], list[Any]]:
        """One reference that has come whole, and the others; none where the time is up."""
        if num_returns != 1:
            raise RuntimeError(f"made to wait for one prompt at a time, not {num_returns}")
        while True:
            heads = {getattr(reference, "next", reference): reference for reference in pending}
            ready, _ = self._ray.wait(list(heads), num_returns=1, timeout=timeout)
            if not ready:
                return [], pending
            reference = heads[ready[0]]
            if isinstance(reference, Together):
                reference.come += 1
                if reference.come < len(reference.parts):
                    continue
            return [reference], [other for other in pending if other is not reference]


class Engines:
    """All engines of a launch, and how many samples each has to draw."""

    def __init__(self, ray: Any, engines: list[Any], tokenizer: Any) -> None:
        self._ray, self._engines = ray, engines
        self._tokenizer = [ray.put(tokenizer)]  # in a list, or Ray would hand over what it refers to
        self.loads = [0] * len(engines)

    def ask(self) -> None:
        """How much each has left to do, before more is sent."""
        self.loads = self._ray.get([engine.get_num_unfinished_requests.remote() for engine in self._engines])

    def shares(self, samples: int) -> list[int]:
        """How many of a prompt's samples each engine gets: one after another to the one with the least to do."""
        shares = [0] * len(self._engines)
        for _ in range(samples):
            least = min(range(len(shares)), key=self.loads.__getitem__)
            self.loads[least] += 1
            shares[least] += 1
        return shares

    def send(self, *, seed: int, sampling_params: Any, num_samples: int, **request: Any) -> Any:
        """A prompt's samples, the k-th of seed + k; one reference to all."""
        request["hf_tokenizer"] = self._tokenizer
        parts = []
        for engine, share in zip(self._engines, self.shares(num_samples), strict=True):
            if share:
                sampling_params.seed = seed  # `remote` copies its arguments at once
                call = engine.generate_responses.remote
                parts.append(call(sampling_params=sampling_params, num_samples=share, **request))
                seed += share
        return parts[0] if len(parts) == 1 else Together(parts)


def wait_for_parts(module: Any) -> None:
    """Of openrlhf.trainer.ppo_utils.samples_generator, in the process that sends prompts."""
    generator = module.SamplesGenerator
    dispatch = generator._dispatch_prompts_to_vllm

    def by_load(self: Any, *arguments: Any, **named: Any) -> list[Any]:
        self.engines.ask()
        references: list[Any] = dispatch(self, *arguments, **named)
        return references

    module.ray = RayOfParts(module.ray)
    generator._dispatch_prompts_to_vllm = by_load


_taken: dict[Any, Any] = {}


async def taken_out(tokenizer: list[Any]) -> Any:
    """The tokenizer of a request: what the reference in the list refers to, made once in this process."""
    import asyncio

    [reference] = tokenizer
    if reference not in _taken:
        _taken[reference] = asyncio.wrap_future(reference.future())
    return await _taken[reference]
