"""Processor seconds of an engine's actor in one step of the paper, by part: host.py prints them.

The engines' own functions with the hooks: vLLM's output processor takes the tokens in as they are drawn, OpenRLHF's
executor makes prompts tokens and answers text, and asks the reward. Nothing is generated: answers are random tokens.
"""

import asyncio
import inspect
import random
import tempfile
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy

WORDS, SPECIAL = 151_643, 22
"""The entries of Qwen2's tokenizer."""
REQUESTS, TOKENS = 64, 300
"""Of an engine at a time, and tokens of each for which output processing is timed."""
PROMPT = "Find the remainder when the sum of all integers from one to a hundred is divided by seven. " * 6


def made_tokenizer() -> Any:
    """A byte-level tokenizer with as many words as Qwen2's, nearly all of four letters, as a model's is loaded."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    words = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    letters = [letter for letter in words if letter.isascii()]
    merges = [(first, second) for first in letters for second in letters]
    pairs, missing = ["".join(merge) for merge in merges], WORDS - len(words) - len(merges)
    of_four = random.Random(0).sample(range(len(pairs) ** 2), missing)
    merges += [(pairs[number // len(pairs)], pairs[number % len(pairs)]) for number in of_four]
    words |= {"".join(merge): len(words) + number for number, merge in enumerate(merges)}
    whole = Tokenizer(models.BPE(vocab=words, merges=merges))
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.decoder = decoders.ByteLevel()
    whole.add_special_tokens([AddedToken(f"<|s{number}|>", special=True) for number in range(SPECIAL)])
    with tempfile.TemporaryDirectory() as folder:
        PreTrainedTokenizerFast(tokenizer_object=whole, eos_token="<|s0|>").save_pretrained(folder)
        return AutoTokenizer.from_pretrained(folder)


def outputs_of(step: int, requests: int, measured: set[int], generator: Any) -> list[Any]:
    """What an engine's core sends to its actor for one token of each request."""
    from vllm.v1.engine import EngineCoreOutput
    from vllm.v1.outputs import LogprobsLists

    tokens = generator.integers(1000, 150_000, (requests, 2))
    chances, ranks = numpy.full((requests, 2), -0.3, dtype=numpy.float32), numpy.ones(requests, dtype=numpy.int32)
    return [
        EngineCoreOutput(
            request_id=str(number),
            new_token_ids=[int(tokens[number, 0])],
            new_logprobs=LogprobsLists(tokens[row], chances[row], ranks[row], None) if number in measured else None,
        )
        for number in range(requests)
        for row in [slice(number, number + 1)]
    ]


def seconds_a_token(tokenizer: Any, every: int | None) -> float:
    """Of decoding and processing what vLLM's core sends, where one of `every` requests asks for log-probabilities."""
    return asyncio.run(processed(tokenizer, set(range(0, REQUESTS, every)) if every else set()))


async def processed(tokenizer: Any, measured: set[int]) -> float:
    from vllm.sampling_params import RequestOutputKind, SamplingParams
    from vllm.v1.engine import EngineCoreOutputs, EngineCoreRequest
    from vllm.v1.engine.output_processor import OutputProcessor, RequestOutputCollector
    from vllm.v1.serial_utils import MsgpackDecoder, MsgpackEncoder

    processor, encoder, decoder = (
        OutputProcessor(tokenizer, log_stats=False),
        MsgpackEncoder(),
        MsgpackDecoder(EngineCoreOutputs),
    )
    known = inspect.signature(EngineCoreRequest).parameters
    for number in range(REQUESTS):
        sampling = SamplingParams(
            max_tokens=8192,
            logprobs=1 if number in measured else None,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        values = dict.fromkeys(known) | {
            "request_id": str(number),
            "prompt_token_ids": list(range(100, 220)),
            "sampling_params": sampling,
            "arrival_time": 0.0,
        }
        request = EngineCoreRequest(**{key: value for key, value in values.items() if key in GIVEN})
        request.external_req_id = str(number)
        queue = RequestOutputCollector(sampling.output_kind, str(number))
        processor.add_request(request, None, None, 0, queue)
    generator, spent = numpy.random.default_rng(0), 0.0
    for step in range(TOKENS):
        sent = encoder.encode(EngineCoreOutputs(outputs=outputs_of(step, REQUESTS, measured, generator)))
        begun = time.process_time()
        processor.process_outputs(decoder.decode(sent).outputs, 0.0, None)
        await asyncio.sleep(0)
        spent += time.process_time() - begun
    return spent / TOKENS / REQUESTS


GIVEN = (
    *("request_id", "prompt_token_ids", "mm_features", "sampling_params", "pooling_params", "arrival_time"),
    *("lora_request", "cache_salt", "data_parallel_rank"),
)


class Engine:
    """What the executor asks for answers, which are there already."""

    def __init__(self, answers: Iterator[tuple[list[int], bool]]) -> None:
        self.answers = answers

    async def generate(self, prompt: list[int], sampling: Any, multi_modal_data: Any = None) -> Any:
        from vllm.logprobs import Logprob

        tokens, cut = next(self.answers)
        chances = [{token: Logprob(-0.3)} for token in tokens] if sampling.logprobs is not None else None
        output = SimpleNamespace(token_ids=tokens, logprobs=chances, finish_reason="length" if cut else "stop")
        return SimpleNamespace(outputs=[output])


def executed(tokenizer: Any, lengths: list[int], most: int, samples: int, every: int) -> tuple[float, list[Any]]:
    """Seconds of the executor for an engine's answers of a step, and what it returns; the reward is not asked."""
    from openrlhf.utils.agent import SingleTurnAgentExecutor
    from vllm.sampling_params import SamplingParams

    generator = numpy.random.default_rng(1)
    tokens = [generator.integers(1000, 150_000, length).tolist() for length in lengths]
    engine = Engine(iter([(own, len(own) >= most) for own in tokens]))
    executor = SingleTurnAgentExecutor("none.invalid")
    executor.reward_endpoints = ["own"]
    executor.reward_func = lambda queries, prompts, labels: {"rewards": None, "scores": None}

    async def all_of_them() -> list[Any]:
        found = []
        for number in range(len(lengths)):
            asked = 1 if number // samples % every == 0 else None
            request = {"prompt": PROMPT, "label": "[]", "hf_tokenizer": tokenizer, "llm_engine": engine}
            parameters = SamplingParams(max_tokens=most, logprobs=asked)
            found.append(await executor.execute(**request, sampling_params=parameters, max_length=most + 1024))
        return found

    begun = time.process_time()
    answers = asyncio.run(all_of_them())
    return time.process_time() - begun, answers
