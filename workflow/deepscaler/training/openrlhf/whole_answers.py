"""Answers leave the engine once, whole, and as tokens; patched into OpenRLHF's modules as `hooks` does.

Upstream awaits an answer's end but leaves vLLM at its default: after each token an answer so far is made of all tokens
and log-probabilities before it, and its text is decoded as it grows. For n tokens that copies n² / 2 of each, and no
one looks at them. The text is not looked at either: upstream's executor decodes prompt and answer itself.
"""

from typing import Any


def ask_for_whole_answers(module: Any) -> None:
    """Of openrlhf.utils.agent, in the engines' processes."""
    execute = module.SingleTurnAgentExecutor.execute

    async def at_once(self: Any, *, sampling_params: Any, **request: Any) -> dict[str, Any]:
        kinds = type(sampling_params.output_kind)
        sampling_params.output_kind = kinds.FINAL_ONLY
        sampling_params.detokenize = False
        response: dict[str, Any] = await execute(self, sampling_params=sampling_params, **request)
        return response

    module.SingleTurnAgentExecutor.execute = at_once
