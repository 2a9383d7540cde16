"""Answers leave the engine once, whole, and as arrays; patched into OpenRLHF's modules as `hooks` does.

Upstream awaits an answer's end but leaves vLLM at its default: after each token an answer so far is made of all tokens
and log-probabilities before it, and its text is decoded as it grows. For n tokens that copies n² / 2 of each, and no
one looks at them. The text is not looked at either: upstream's executor decodes prompt and answer itself.

What it returns are lists of Python's numbers. Many actors make them, and the one trainer would take them apart again,
number by number: as arrays of the types that it makes of them they reach it as they are.
"""

from typing import Any


def ask_for_whole_answers(module: Any) -> None:
    """Of openrlhf.utils.agent, in the engines' processes."""
    execute = module.SingleTurnAgentExecutor.execute

    async def at_once(self: Any, *, sampling_params: Any, **request: Any) -> dict[str, Any]:
        kinds = type(sampling_params.output_kind)
        sampling_params.output_kind = kinds.FINAL_ONLY
        sampling_params.detokenize = False
        return as_arrays(await execute(self, sampling_params=sampling_params, **request))

    module.SingleTurnAgentExecutor.execute = at_once


def as_arrays(response: dict[str, Any]) -> dict[str, Any]:
    """An executor's answer with tokens and log-probabilities as arrays, of the types of the trainer's tensors."""
    import numpy

    chances = response["rollout_log_probs"]
    return {
        **response,
        "observation_tokens": numpy.asarray(response["observation_tokens"], dtype=numpy.int64),
        "rollout_log_probs": None if chances is None else numpy.asarray(chances, dtype=numpy.float32),
    }
