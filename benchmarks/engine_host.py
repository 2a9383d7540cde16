"""Processor microseconds that vLLM's own Python takes for each sampled token, beside the GPU: engine and actor.

    .venv/bin/python benchmarks/engine_host.py MODEL [--requests 128] [--steps 400]

vLLM's scheduler, its messages and its output processor are fed with as many requests as an engine decodes at once at
the paper's scale, a token each a step, as if a GPU had sampled them. MODEL is the folder of any model: its weights are
not read. One thread; prints a Markdown table, with and without the log-probability of each token, for answers that
leave once and whole, as here (training/openrlhf/whole_answers.py), and after every token, as by vLLM's default.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import torch

PROMPT, CONTEXT, BLOCK = 120, 16_384, 16
"""Tokens of a prompt and of a sequence; of a block of the cache, on GPUs."""
WARM_UP = 20
"""Steps that are not counted."""
CORE = ("schedule", "take the tokens in", "send")
ACTOR = ("receive", "add to the answers")


class Clock:
    """Processor seconds by part."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys((*CORE, *ACTOR), 0.0)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[name] += time.process_time() - start


def configured(model: Path, requests: int) -> Any:
    from vllm.engine.arg_utils import EngineArgs

    arguments = EngineArgs(
        model=str(model), dtype="bfloat16", max_num_seqs=requests, enable_prefix_caching=False, block_size=BLOCK
    )
    config = arguments.create_engine_config()
    config.model_config.max_model_len = CONTEXT  # whatever the model's own
    config.cache_config.num_gpu_blocks = requests * CONTEXT // BLOCK + 1
    return config


def make_scheduler(config: Any) -> Any:
    from vllm.v1.core.sched.async_scheduler import AsyncScheduler
    from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
    from vllm.v1.structured_output import StructuredOutputManager

    spec = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=64, dtype=torch.bfloat16)
    blocks = config.cache_config.num_gpu_blocks
    cache = KVCacheConfig(num_blocks=blocks, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)])
    return AsyncScheduler(config, cache, StructuredOutputManager(config), block_size=BLOCK)


async def measure(config: Any, requests: int, steps: int, compared: bool, whole: bool) -> dict[str, float]:
    """Microseconds a token, by part."""
    from vllm.sampling_params import RequestOutputKind, SamplingParams
    from vllm.v1.engine import EngineCoreOutputs, EngineCoreRequest
    from vllm.v1.engine.output_processor import OutputProcessor, RequestOutputCollector
    from vllm.v1.outputs import LogprobsLists, ModelRunnerOutput
    from vllm.v1.request import Request
    from vllm.v1.serial_utils import MsgpackDecoder, MsgpackEncoder

    scheduler, clock = make_scheduler(config), Clock()
    encoder, decoder = MsgpackEncoder(), MsgpackDecoder(EngineCoreOutputs)
    processor = OutputProcessor(None, log_stats=False)
    kind = RequestOutputKind.FINAL_ONLY if whole else RequestOutputKind.CUMULATIVE
    names, queues = [str(number) for number in range(requests)], []
    for name in names:
        parameters = SamplingParams(
            temperature=0.6,
            max_tokens=CONTEXT - PROMPT,
            logprobs=1 if compared else None,
            output_kind=kind,
            detokenize=False,
        )
        request = EngineCoreRequest(
            request_id=name,
            prompt_token_ids=list(range(100, 100 + PROMPT)),
            mm_features=None,
            sampling_params=parameters,
            pooling_params=None,
            arrival_time=0.0,
            lora_request=None,
            cache_salt=None,
            data_parallel_rank=None,
        )
        request.external_req_id = name
        queues.append(RequestOutputCollector(kind, name))
        processor.add_request(request, None, None, 0, queues[-1])
        scheduler.add_request(Request.from_engine_core_request(request, None))

    async def consume(queue: Any) -> None:
        while True:
            queue.get_nowait() or await queue.get()

    consumers = [asyncio.create_task(consume(queue)) for queue in queues]
    await asyncio.sleep(0)
    generator, positions, counted = numpy.random.default_rng(0), {name: i for i, name in enumerate(names)}, 0
    while counted < steps + WARM_UP:
        if counted == WARM_UP:
            clock = Clock()
        with clock.part("schedule"):
            plan = scheduler.schedule()
        tokens = generator.integers(1_000, 150_000, (requests, 2))
        shares = generator.random((requests, 2), numpy.float32)
        chosen = LogprobsLists(tokens, shares, numpy.ones(requests, numpy.int64))
        done = [request for request in scheduler.running if request.num_computed_tokens >= request.num_prompt_tokens]
        ready = {request.request_id for request in done}
        sampled = [[int(tokens[positions[name], 0])] if name in ready else [] for name in names]
        output = ModelRunnerOutput(names, positions, sampled, logprobs=chosen if compared else None)
        with clock.part("take the tokens in"):
            outputs = scheduler.update_from_output(plan, output)
        for batch in outputs.values():
            with clock.part("send"):
                message = encoder.encode(batch)
            with clock.part("receive"):
                received = decoder.decode(message)
            with clock.part("add to the answers"):
                processor.process_outputs(received.outputs, 0.0, None)
                for _ in range(3):
                    await asyncio.sleep(0)
        counted += len(ready) == requests
    for consumer in consumers:
        consumer.cancel()
    return {name: seconds / steps / requests * 1e6 for name, seconds in clock.seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--requests", type=int, default=128)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = configured(options.model, options.requests)
    ways = [(whole, compared) for whole in (True, False) for compared in (False, True)]
    found = [asyncio.run(measure(config, options.requests, options.steps, compared, whole)) for whole, compared in ways]
    print("| µs a token | whole | whole, compared | each token | each token, compared |\n|---|---|---|---|---|")
    for title, parts in (("engine", CORE), ("actor", ACTOR)):
        for part in parts:
            print(f"| {title}: {part} | " + " | ".join(f"{row[part]:.1f}" for row in found) + " |")
    print("| **together** | " + " | ".join(f"{sum(row.values()):.1f}" for row in found) + " |")


if __name__ == "__main__":
    main()
